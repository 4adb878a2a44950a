"""The database: migrations, several programs at once, and what happens when the disk does not play along."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.errors import InvalidInputError, StorageError
from engine.store.conversations import Conversations
from engine.store.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mtntui.db"


def test_a_new_database_has_the_newest_schema_and_is_safe_against_power_cuts(path: Path) -> None:
    database = Database(path)
    assert database.query("PRAGMA user_version")[0][0] >= 1
    assert database.query("PRAGMA journal_mode")[0][0] == "wal"
    assert database.query("PRAGMA synchronous")[0][0] == 2
    assert database.query("PRAGMA foreign_keys")[0][0] == 1
    assert database.check() == []
    database.close()
    Database(path).close()


def test_a_transaction_that_raises_leaves_nothing(path: Path) -> None:
    database = Database(path)
    with pytest.raises(RuntimeError), database.transaction() as connection:
        connection.execute("INSERT INTO conversations (id, created_at, updated_at) VALUES ('a', '', '')")
        raise RuntimeError
    assert database.query("SELECT * FROM conversations") == []
    database.close()


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    database = Database(path)
    database.query("PRAGMA user_version = 9999")
    database.close()
    with pytest.raises(StorageError, match="newer mtntui"):
        Database(path)


def test_a_file_that_is_no_database_is_said_and_kept(path: Path) -> None:
    content = b"this is no database, just a text that is long enough to be read as one" * 20
    path.write_bytes(content)
    with pytest.raises(StorageError) as caught:
        Database(path)
    assert "damaged" in caught.value.message and "--repair" in caught.value.hint
    assert path.read_bytes() == content


def test_a_folder_in_its_place_is_said(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StorageError):
        Database(path)


def test_a_full_disk_is_said_and_loses_nothing_that_was_saved(path: Path) -> None:
    database = Database(path)
    conversations = Conversations(database)
    identifier = conversations.create(title="Kept").id
    saved = conversations.add_user_message(identifier, "before")
    pages = database.query("PRAGMA page_count")[0][0]
    database.query(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageError, match="full"):
        conversations.add_user_message(identifier, "too much " * 10_000)
    assert [message.id for message in conversations.messages(identifier)] == [saved.id]
    database.query("PRAGMA max_page_count = 1000000")
    assert conversations.add_user_message(identifier, "after").parent == saved.id
    assert database.check() == []
    database.close()


def test_a_database_that_stays_locked_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.database._BUSY_SECONDS", 0.1)
    holder = Database(path)
    other = Database(path)
    with holder.transaction(), pytest.raises(StorageError, match="held by another program"), other.transaction():
        pass
    holder.close()
    other.close()


def test_threads_and_programs_write_at_once(path: Path) -> None:
    database = Database(path)
    conversations = Conversations(database)
    identifier = conversations.create().id
    script = (
        "import sys; from pathlib import Path; from engine.store.database import Database;"
        "from engine.store.conversations import Conversations; c = Conversations(Database(Path(sys.argv[1])));"
        "[c.add_user_message(sys.argv[2], f'{sys.argv[3]} {n}') for n in range(30)]"
    )
    programs = [
        subprocess.Popen([sys.executable, "-c", script, str(path), identifier, name], env=os.environ | {"PYTHONPATH": _root()})
        for name in ("first", "second")
    ]

    def write() -> None:
        for number in range(30):
            conversations.add_user_message(identifier, f"thread {number}")

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert [program.wait(60) for program in programs] == [0, 0]
    texts = [message.content for message in conversations.messages(identifier)]
    assert len(texts) == 90, "one branch: each message follows the one that was the head when it was written"
    for name in ("first", "second", "thread"):
        assert [text for text in texts if text.startswith(name)] == [f"{name} {number}" for number in range(30)]
    database.close()


def test_several_programs_make_one_database(path: Path) -> None:
    script = "import sys; from pathlib import Path; from engine.store.database import Database; Database(Path(sys.argv[1]))"
    programs = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], env=os.environ | {"PYTHONPATH": _root()}) for _ in range(6)
    ]
    assert [program.wait(60) for program in programs] == [0] * 6
    database = Database(path)
    assert database.check() == []
    database.close()


def test_what_was_committed_survives_kill_9(path: Path) -> None:
    script = (
        "import sys, os, signal; from pathlib import Path; from engine.store.database import Database;"
        "from engine.store.conversations import Conversations; c = Conversations(Database(Path(sys.argv[1])));"
        "i = c.create(title='t').id; c.add_user_message(i, 'said'); print(i, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": _root()},
        check=False,
    )
    assert done.returncode == -9
    database = Database(path)
    assert [message.content for message in Conversations(database).messages(done.stdout.strip())] == ["said"]
    database.close()


def test_text_that_is_no_utf8_is_named(path: Path) -> None:
    database = Database(path)
    with pytest.raises(InvalidInputError, match="udcff"):
        database.query("SELECT * FROM models WHERE name = ?", ("\udcff",))
    database.close()


def test_integrity_errors_are_the_callers_own(path: Path) -> None:
    database = Database(path)
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
        connection.execute(
            "INSERT INTO messages (conversation, role, content, status, created_at) VALUES ('no', 'user', '', 'complete', '')"
        )
    database.close()


def _root() -> str:
    return str(Path(__file__).parents[3])


def test_a_commit_that_fails_leaves_the_connection_usable(path: Path) -> None:
    database = Database(path)
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
        connection.execute("PRAGMA defer_foreign_keys = ON")  # so that it is the COMMIT that finds the fault
        connection.execute(
            "INSERT INTO messages (conversation, role, content, status, created_at) VALUES ('x', 'user', '', 'complete', '')"
        )
    with database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone()[0] == 0
    database.close()


def test_the_owner_alone_can_read_a_database(tmp_path: Path) -> None:
    path = tmp_path / "mtntui.db"
    Database(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    database = Database(path)
    database.query("CREATE TABLE x (y)")
    assert {entry.name: entry.stat().st_mode & 0o777 for entry in tmp_path.iterdir()} == {
        "mtntui.db": 0o600,
        "mtntui.db-wal": 0o600,
        "mtntui.db-shm": 0o600,
    }
    database.close()
