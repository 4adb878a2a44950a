"""Where everything lives on disk.

One folder, the home, holds the database, the models, the inference host's socket and the logs. It is `MTNTUI_HOME` when that
is set, else the `home` setting, else the platform's data directory for the user.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InvalidInputError, StorageError

HOME_VARIABLE = "MTNTUI_HOME"

# A Unix socket's address holds 108 bytes on Linux and 104 on macOS, its closing zero included.
_LONGEST_SOCKET_PATH = 100


def default_home() -> Path:
    """The platform's data directory for mtntui, used when nothing else is set."""
    from platformdirs import user_data_path

    return user_data_path("mtntui", appauthor=False)


def expanded(home: str) -> Path:
    """A folder as the user wrote it, `~` and `~name` replaced.

    Raises:
        InvalidInputError: there is no such user, or it cannot be a path.
    """
    try:
        if "\0" in home:
            raise ValueError("it holds a zero byte")
        return Path(home).expanduser()
    except (RuntimeError, ValueError) as error:
        raise InvalidInputError(
            f"The workspace {home!r} is no folder: {str(error).rstrip('.')}.", f"Mend {HOME_VARIABLE} or `home`."
        ) from error


def private_opener(path: str, flags: int) -> int:
    """The `opener` of `open` for a file that only its owner may read, also when it is there with other permissions."""
    descriptor = os.open(path, flags, 0o600)
    status = os.fstat(descriptor)
    if status.st_mode & 0o077 and status.st_uid == os.geteuid():
        with suppress(PermissionError):  # a file system without permissions
            os.fchmod(descriptor, 0o600)
    return descriptor


def sync(path: Path) -> None:
    """Have a file's content, or the names in a folder, survive a power cut from here on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def short_address(socket: Path) -> Iterator[Path]:
    """A path to a Unix socket that fits into its address however long the socket's own path is; gone when the block ends.

    It leads through a link in a temporary folder of this process alone. So where the socket lies depends on nothing but its
    folder, and programs with different temporary folders meet at it.

    Raises:
        OSError: there is no place for the link.
    """
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH:
        yield socket
        return
    try:
        place = tempfile.gettempdir()
        if len(os.fsencode(place)) > _LONGEST_SOCKET_PATH // 2:
            place = "/tmp"  # noqa: S108 - the folder made in it is new and private
        temporary = tempfile.TemporaryDirectory(prefix="mtntui-", dir=place)
    except FileNotFoundError as error:  # which would be taken for a socket that is not there
        raise OSError(errno.EIO, "there is no temporary folder to make a shorter path in") from error
    with temporary as folder:
        link = Path(folder) / "run"
        link.symlink_to(socket.parent.absolute(), target_is_directory=True)
        yield link / socket.name


def default_config_file() -> Path:
    """The settings file: `config.toml` in `MTNTUI_HOME` when that is set, else in the platform's configuration directory."""
    if home := os.environ.get(HOME_VARIABLE):
        return expanded(home) / "config.toml"
    from platformdirs import user_config_path

    return user_config_path("mtntui", appauthor=False) / "config.toml"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths under one home. Nothing is created until `prepare` is called.

    Attributes:
        home: the folder that holds everything, absolute.
    """

    home: Path

    @property
    def database(self) -> Path:
        """Conversations, models and all other records."""
        return self.home / "mtntui.db"

    @property
    def models(self) -> Path:
        """One folder per model."""
        return self.home / "models"

    @property
    def downloads(self) -> Path:
        """Files on their way; a broken download is resumed from here."""
        return self.home / "downloads"

    @property
    def run(self) -> Path:
        """Locks and sockets of running processes."""
        return self.home / "run"

    @property
    def log_file(self) -> Path:
        """Where the terminal program and the command line write tracebacks."""
        return self.home / "logs" / "mtntui.log"

    @property
    def host_log(self) -> Path:
        """Where the inference host writes."""
        return self.home / "logs" / "host.log"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the one supervisor of this workspace's jobs while it lives."""
        return self.run / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        """Where the supervisor writes."""
        return self.home / "logs" / "supervisor.log"

    def job_folder(self, job: str) -> Path:
        """A job's checkpoints and output."""
        return self.home / "jobs" / job

    @property
    def host_lock(self) -> Path:
        """Held by the one inference host of this workspace while it lives."""
        return self.run / "host.lock"

    @property
    def host_socket(self) -> Path:
        """The inference host's Unix socket; `short_address` gives the path to bind or connect it by."""
        return self.run / "host.sock"

    def prepare(self) -> Workspace:
        """Create the folders, readable by their owner alone.

        Raises:
            StorageError: the home cannot be created or written.
        """
        try:
            for folder in (self.home, self.models, self.downloads, self.run, self.log_file.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.home, os.W_OK | os.X_OK):
                number = errno.EROFS if os.statvfs(self.home).f_flag & os.ST_RDONLY else errno.EACCES
                raise OSError(number, os.strerror(number), str(self.home))
        except OSError as error:
            what, advice = error.strerror or str(error), "a folder of yours with free space, or mend its permissions"
            if error.errno == errno.EROFS:
                what, advice = "it lies on a read-only file system", "a folder on a disk that can be written"
            message = f"The workspace {self.home} cannot be written: {what}."
            raise StorageError(message, f"Set {HOME_VARIABLE} to {advice}.") from error
        return self
