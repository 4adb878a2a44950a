"""Saves what can be read of a damaged database into a new one."""

from __future__ import annotations

import fcntl
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from engine.errors import NotFoundError, StorageError
from engine.store.conversations import title_from
from engine.store.database import Database
from engine.store.pages import Pages, Row, Value
from engine.workspace import sync

_SIDES = ("", "-wal", "-shm")  # a database in WAL mode is these files together

# Where SQLite's shared locks lie in a database file; every connection to a database in WAL mode holds one while it is open.
_SHARED_LOCKS = (0x40000002, 510)  # first byte, how many


@dataclass(slots=True)
class Repair:
    """What a repair did.

    Attributes:
        kept: where the damaged file is now; its -wal and -shm files, if it had them, lie beside it.
        rows: how many rows each table has in the new database.
        lost_rows: rows that were seen and could not be read, or that no table took.
        missing_messages: numbers of messages that were given out and that no row has; what is certainly lost.
        mended_messages: messages some of whose text was damaged; they are marked "interrupted".
        relinked_messages: messages that followed a lost one, and now follow the one before it.
        untitled_conversations: conversations made anew for messages whose own was lost; titled by their first message.
    """

    kept: Path
    rows: dict[str, int] = field(default_factory=dict)
    lost_rows: int = 0
    missing_messages: int = 0
    mended_messages: int = 0
    relinked_messages: int = 0
    untitled_conversations: int = 0


def repair(path: Path) -> Repair:
    """Put a new database in the place of a damaged one, with every row that can be read of it.

    The damaged files are renamed, with the time in their names, and not changed. Rows are found page by page, so a damaged page
    costs only the rows on it. Search is built anew, and replies that were still growing are marked "interrupted".

    Raises:
        NotFoundError: there is no database.
        StorageError: another program has it open, or the disk would not take the new one; nothing is changed then.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no database at {path}.", "mtntui makes one when it starts.")
    try:
        with _alone(path) as file, tempfile.TemporaryDirectory(dir=path.parent, prefix="repair-") as folder:
            result = Repair(kept=_free_name(path))
            rescued = Path(folder) / path.name
            database = Database(rescued)
            try:
                _save_rows(_read(file, path), database, result)
                _mend(database, result)
            finally:
                database.close()
            for side in _SIDES:
                if (damaged := Path(f"{path}{side}")).exists():
                    damaged.rename(f"{result.kept}{side}")
            rescued.replace(path)
            sync(path.parent)  # renames are on disk only when their folder is
    except OSError as error:
        raise StorageError(
            f"The database {path} could not be repaired: {error.strerror or error}.",
            "Its damaged files are unchanged; free some disk space or mend the folder's permissions, then try again.",
        ) from error
    return result


@contextmanager
def _alone(path: Path) -> Iterator[IO[bytes]]:
    """The open file, with other programs kept out while the block runs.

    POSIX locks go as soon as this process closes any descriptor of the file, so the block must not open it again.

    Raises:
        StorageError: one has the database open.
    """
    start, length = _SHARED_LOCKS
    with path.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except BlockingIOError as error:
            raise StorageError(
                f"The database {path} is open in another program.",
                "Close every other mtntui and run `mtntui host stop`, then try again.",
            ) from error
        yield file


def _read(file: IO[bytes], path: Path) -> Pages:
    log = Path(f"{path}-wal")
    return Pages(file.read(), log.read_bytes() if log.exists() else b"")


def _free_name(path: Path) -> Path:
    stem = f"{path.name}.damaged-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    candidate, number = path.with_name(stem), 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{stem}-{number}")
    return candidate


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the new database.

    Which table a row belongs to shows in the number of its values and their types: the tables are STRICT, so a value that does
    not fit is refused when it is inserted; CHECK and NOT NULL do the rest.
    """

    name: str
    columns: tuple[str, ...]
    rowid_column: int | None

    def insert(self, connection: sqlite3.Connection, row: Row) -> bool:
        """Whether this table took the row; one whose key is there already counts as taken."""
        if len(row.values) != len(self.columns):
            return False
        values: list[Value] = list(row.values)
        if self.rowid_column is not None:
            values[self.rowid_column] = row.rowid
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({marks})"
        try:
            connection.execute(sql, values)
        except sqlite3.IntegrityError as error:
            return error.sqlite_errorcode in {sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE}
        return True


def _tables(connection: sqlite3.Connection) -> list[_Table]:
    names = connection.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        " ORDER BY name"
    )
    return [_table(connection, row["name"]) for row in names.fetchall()]


def _table(connection: sqlite3.Connection, name: str) -> _Table:
    columns: Sequence[sqlite3.Row] = connection.execute(f"PRAGMA table_info ({name})").fetchall()
    keys = [index for index, column in enumerate(columns) if column["pk"] and column["type"] == "INTEGER"]
    return _Table(name, tuple(column["name"] for column in columns), keys[0] if keys else None)


def _save_rows(pages: Pages, database: Database, result: Repair) -> None:
    connection = database.connection
    # Rows come in the order of their pages, a message perhaps before its conversation; `_mend` sees to those left alone.
    connection.execute("PRAGMA foreign_keys = OFF")
    tables = _tables(connection)
    widths = {len(table.columns) for table in tables}
    with database.transaction():
        for row in pages.rows():
            if row is None:
                result.lost_rows += 1
            elif len(row.values) in widths:
                taken = next((table for table in tables if table.insert(connection, row)), None)
                result.lost_rows += taken is None
                if row.damaged and taken and taken.name == "messages":
                    _mark_damaged(connection, row.rowid)
                    result.mended_messages += 1


def _mark_damaged(connection: sqlite3.Connection, message: int) -> None:
    connection.execute(
        "UPDATE messages SET status = 'interrupted', error = 'Part of this text was lost to a damaged database.' WHERE id = ?",
        (message,),
    )


def _title(connection: sqlite3.Connection) -> None:
    """Give conversations without a title the one that new ones get: from the first thing the user said."""
    untitled = connection.execute(
        "SELECT conversations.id, content FROM conversations JOIN messages ON messages.id ="
        " (SELECT min(id) FROM messages WHERE conversation = conversations.id AND role = 'user') WHERE title = ''"
    ).fetchall()
    for row in untitled:
        connection.execute("UPDATE conversations SET title = ? WHERE id = ?", (title_from(row["content"]), row["id"]))


def _mend(database: Database, result: Repair) -> None:
    """Make the saved rows fit together again, and count them."""
    with database.transaction() as connection:
        result.untitled_conversations = connection.execute(
            "INSERT INTO conversations (id, title, created_at, updated_at)"
            " SELECT conversation, '', min(created_at), max(created_at) FROM messages"
            " WHERE conversation NOT IN (SELECT id FROM conversations) GROUP BY conversation"
        ).rowcount
        _title(connection)
        # A conversation is read from its head back through the parents: a gap would hide all that came before it.
        result.relinked_messages = connection.execute(
            "UPDATE messages SET parent = (SELECT max(earlier.id) FROM messages AS earlier"
            " WHERE earlier.conversation = messages.conversation AND earlier.id < messages.id)"
            " WHERE parent NOT IN (SELECT id FROM messages) OR parent >= id"  # a message only follows an earlier one
        ).rowcount
        connection.execute(
            "UPDATE conversations SET head = (SELECT max(id) FROM messages WHERE conversation = conversations.id)"
            " WHERE head IS NULL OR head NOT IN (SELECT id FROM messages)"
        )
        connection.execute("UPDATE models SET parent = NULL WHERE parent NOT IN (SELECT name FROM models)")
        connection.execute("UPDATE messages SET status = 'interrupted' WHERE status = 'streaming'")
        for table in _tables(connection):
            result.rows[table.name] = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
        highest = connection.execute("SELECT max(id) FROM messages").fetchone()[0] or 0
        result.missing_messages = highest - result.rows["messages"]
