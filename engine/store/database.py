"""The workspace's SQLite database: opened in WAL mode, brought up to date by numbered migrations."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.errors import InvalidInputError, StorageError

_MIGRATIONS = Path(__file__).parent / "migrations"

# Another process may hold the write lock for as long as one of its transactions takes, which is milliseconds; on a slow
# network disk it can be seconds.
_BUSY_SECONDS = 10

_NOTHING_FREE = 1 << 20  # bytes; with less, SQLite cannot make the files that it works with


def now(*, ago: float = 0) -> str:
    """The time, or that of some seconds ago, as records keep it: ISO 8601 in UTC, to the millisecond."""
    return (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(timespec="milliseconds")


class Database:
    """One database file; each thread that uses it gets a connection of its own.

    Args:
        path: the file, made when it is not there.

    Raises:
        StorageError: the file is damaged, made by a newer version, cannot be written, or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        _keep_private(path)
        with self._explained():
            _migrate(self.connection)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode; rows come as `sqlite3.Row`."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = _connect(self.path)
            self._local.connection = connection
            self._connections.append(connection)
        return connection

    def query(self, sql: str, parameters: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        """Run one statement and return its rows."""
        with self._explained():
            return self.connection.execute(sql, parameters).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed, and on disk, when the block ends; rolled back when it raises.

        Inside another one of the same thread it is a part of that, and ends with it.
        """
        with self._explained():
            connection = self.connection
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # A full disk makes SQLite roll back by itself; a failed COMMIT may not.
                    connection.execute("ROLLBACK")
                raise

    def check(self) -> list[str]:
        """What SQLite's own integrity check finds wrong; empty when the file is sound."""
        found = [str(row[0]) for row in self.query("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close every thread's connection."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._local = threading.local()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            raise _explain(error, self.path) from error
        except UnicodeEncodeError as error:  # an argument or a file name with undecodable bytes
            raise InvalidInputError(f"{error.object!r} is no valid text.", "Write it as UTF-8.") from error
        except OverflowError as error:
            raise InvalidInputError("A number is beyond what the database holds.", "Give one below 2^63.") from error


def _keep_private(path: Path) -> None:
    """Let the owner alone read the database, also in a folder that others can read; SQLite gives its -wal and -shm the same mode.

    A file that is there is never opened here: closing it would drop the locks of SQLite's connections in this process.
    """
    # What keeps the file from being made keeps SQLite from it too, which then says so in full.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for side in ("", "-wal", "-shm"):
        # File systems without permissions (FAT, some network disks) refuse; there is nothing to keep private there.
        with suppress(OSError):
            file = Path(f"{path}{side}")
            status = file.stat()
            if status.st_mode & 0o077 and status.st_uid == os.geteuid():
                file.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    # Connections are closed from the thread that closes the database, hence check_same_thread=False; none is shared for work.
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # NORMAL would lose the last commits at a power cut; what a person wrote is worth an fsync.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _migrations() -> list[tuple[int, Path]]:
    found = [(int(path.name[:4]), path) for path in _MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql")]
    return sorted(found)


def _migrate(connection: sqlite3.Connection) -> None:
    migrations = _migrations()
    newest = migrations[-1][0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == newest:
        return
    if version > newest:
        raise StorageError(
            f"The database was made by a newer mtntui (its schema is {version}, this program knows {newest}).",
            "Update mtntui, or point MTNTUI_HOME to another folder.",
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated meanwhile.
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for number, path in migrations:
            if number > version:
                for statement in _statements(path.read_text(encoding="utf-8")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """The script's statements; `executescript` would commit between them."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _explain(error: sqlite3.DatabaseError, path: Path) -> StorageError:
    text = str(error).lower()
    if re.search(r"not a database|malformed|corrupt", text):
        return StorageError(
            f"The database {path} is damaged ({error}).",
            "Run `mtntui doctor --repair`: it keeps the damaged file and saves what can be read.",
        )
    # SQLite reports an I/O error when it cannot make its -shm or -wal longer, and that it cannot open what it cannot make.
    if "full" in text or (re.search(r"i/o error|unable to open", text) and _disk_is_full(path)):
        return StorageError(f"The disk that holds {path} is full.", "Free some space; nothing that was saved is lost.")
    if "readonly" in text or "unable to open" in text:
        return StorageError(
            f"The database {path} cannot be written ({error}).",
            "Mend the folder's permissions, or set MTNTUI_HOME to a folder of yours.",
        )
    if "locked" in text or "busy" in text:
        return StorageError(f"The database {path} is held by another program.", "Close what holds it, then try again.")
    return StorageError(f"The database {path} failed: {error}.", "Run `mtntui doctor` to check it.")


def _disk_is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _NOTHING_FREE
    except OSError:  # the folder itself is gone or broken: that is another trouble
        return False
