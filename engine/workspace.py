"""Where everything lives on disk.

One folder, the home, holds the database, the models, the inference host's socket and the logs. It is `MTNTUI_HOME` when that
is set, else the `home` setting, else the platform's data directory for the user.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from contextlib import suppress
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
    def host_lock(self) -> Path:
        """Held by the one inference host of this workspace while it lives."""
        return self.run / "host.lock"

    @property
    def host_socket(self) -> Path:
        """The inference host's Unix socket: in the workspace, or where that path is too long in a private temporary folder."""
        path = self.run / "host.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"mtntui-{os.getuid()}" / f"{digest}.sock"

    def prepare(self) -> Workspace:
        """Create the folders, readable by their owner alone.

        Raises:
            StorageError: the home cannot be created or written.
        """
        try:
            for folder in (self.home, self.models, self.downloads, self.run, self.log_file.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.host_socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.check_socket_folder()
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

    def check_socket_folder(self) -> None:
        """Make sure that nobody else can have put a socket where the host's is looked for.

        Raises:
            PermissionError: the folder belongs to, or can be written by, another user.
            FileNotFoundError: it is not there.
        """
        folder = self.host_socket.parent
        status = folder.lstat()
        if folder != self.run and (status.st_uid != os.getuid() or status.st_mode & 0o077):
            # A folder in the shared temporary directory that others can write to could hold another user's socket.
            raise PermissionError(errno.EPERM, "it is not private to you", str(folder))
