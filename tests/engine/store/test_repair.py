"""What `mtntui doctor --repair` stands on: rows come back from files that SQLite itself refuses."""

import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import NotFoundError, StorageError
from engine.store.conversations import Conversations, title_from
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.store.pages import Pages
from engine.store.repair import repair

PAGE = 4096
CONVERSATIONS, TURNS = 12, 20


def message_text(conversation: int, turn: int) -> str:
    """Some are a line, some fill several overflow pages, all hold more than ASCII."""
    length = (3, 40, 700, 5000)[(conversation + turn) % 4]
    return f"Zürich {conversation}/{turn} " + "naïve Größe 漢字 🙂 " * (length // 20)


def fill(path: Path) -> dict[int, tuple[str, str]]:
    """Make a database as the program does; returns each message's conversation and text."""
    database = Database(path)
    conversations = Conversations(database)
    Models(database).put(ModelRecord("weights", "safetensors", Path("/models/weights"), parameters=134_515_008))
    Models(database).put(ModelRecord("graph", "onnx", Path("/models/graph"), parent="weights"))
    identifiers = [conversations.create(model="graph", title=f"Conversation {number}").id for number in range(CONVERSATIONS)]
    messages = {}
    for turn in range(TURNS):
        for number, conversation in enumerate(identifiers):
            text = message_text(number, turn)
            if turn % 2 == 0:
                stored = conversations.add_user_message(conversation, text)
            else:
                head = conversations.get(conversation).head
                assert head is not None
                stored = conversations.start_reply(conversation, parent=head, model="graph", parameters={"temperature": 0.5})
                conversations.grow_reply(stored.id, text[: len(text) // 2])
                conversations.finish_reply(stored.id, text, "complete", completion_tokens=7, tokens_per_second=123.5)
            messages[stored.id] = (conversation, text)
    database.close()
    return messages


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, tuple[str, str]]]:
    path = tmp_path_factory.mktemp("sound") / "mtntui.db"
    return path, fill(path)


@pytest.fixture
def copy(sound: tuple[Path, dict[int, tuple[str, str]]], tmp_path: Path) -> tuple[Path, dict[int, tuple[str, str]]]:
    shutil.copy(sound[0], tmp_path / "mtntui.db")
    return tmp_path / "mtntui.db", sound[1]


def saved_messages(path: Path) -> dict[int, tuple[str, str]]:
    database = Database(path)
    try:
        assert database.check() == []
        assert database.query("PRAGMA foreign_key_check") == []
        database.query("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")
        return {row["id"]: (row["conversation"], row["content"]) for row in database.query("SELECT * FROM messages")}
    finally:
        database.close()


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def leaf_pages(path: Path, table: str) -> list[int]:
    """The pages of a table that hold rows, by walking its tree in a sound file."""
    with sqlite3.connect(path) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    data = path.read_bytes()
    todo, leaves = [root], []
    while todo:
        number = todo.pop()
        page = data[(number - 1) * PAGE : number * PAGE]
        if page[0] == 0x0D:
            leaves.append(number)
            continue
        cells = int.from_bytes(page[3:5])
        at = [int.from_bytes(page[12 + 2 * cell : 14 + 2 * cell]) for cell in range(cells)]
        todo += [int.from_bytes(page[offset : offset + 4]) for offset in at] + [int.from_bytes(page[8:12])]
    return leaves


def test_reading_page_by_page_finds_what_sqlite_finds(sound: tuple[Path, dict[int, tuple[str, str]]]) -> None:
    path, _ = sound
    with sqlite3.connect(path) as connection:
        expected = {row[0]: [None, *row[1:]] for row in connection.execute("SELECT * FROM messages")}
    found = {row.rowid: row.values for row in Pages(path.read_bytes()).rows() if row and len(row.values) == 18}
    assert found == expected


def test_a_database_whose_header_is_garbage_comes_back_whole(copy: tuple[Path, dict[int, tuple[str, str]]]) -> None:
    path, messages = copy
    overwrite(path, 0, random.Random(1).randbytes(100))
    with pytest.raises(StorageError, match="damaged"):
        Database(path)
    damaged = path.read_bytes()

    result = repair(path)

    assert saved_messages(path) == messages
    saved = {table: count for table, count in result.rows.items() if count}
    assert saved == {"conversations": CONVERSATIONS, "messages": len(messages), "models": 2}
    assert (result.missing_messages, result.relinked_messages, result.untitled_conversations) == (0, 0, 0)
    assert result.kept.read_bytes() == damaged
    database = Database(path)
    assert [record.name for record in Models(database).lineage("graph")] == ["graph", "weights"]
    assert len(Conversations(database).browse("größe", limit=100)) == CONVERSATIONS
    database.close()


def test_a_lost_root_page_costs_no_row(copy: tuple[Path, dict[int, tuple[str, str]]]) -> None:
    path, messages = copy
    with sqlite3.connect(path) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages'").fetchone()
    overwrite(path, (root - 1) * PAGE, random.Random(2).randbytes(PAGE))
    repair(path)
    assert saved_messages(path) == messages


def test_a_lost_leaf_page_costs_only_its_rows_and_conversations_stay_joined(
    copy: tuple[Path, dict[int, tuple[str, str]]],
) -> None:
    path, messages = copy
    leaf = sorted(leaf_pages(path, "messages"))[4]
    data = path.read_bytes()
    on_it = {row.rowid for row in Pages(data).rows() if row and len(row.values) == 18}
    overwrite(path, (leaf - 1) * PAGE, b"\xff" * PAGE)
    on_it -= {row.rowid for row in Pages(path.read_bytes()).rows() if row and len(row.values) == 18}
    assert 0 < len(on_it) < 30

    result = repair(path)

    assert saved_messages(path) == {key: value for key, value in messages.items() if key not in on_it}
    assert result.missing_messages == len(on_it)
    database = Database(path)
    conversations = Conversations(database)
    for conversation in conversations.browse(limit=100):
        shown = {message.id for message in conversations.messages(conversation.id)}
        assert shown == {key for key, (owner, _) in messages.items() if owner == conversation.id} - on_it
    database.close()


def test_a_truncated_file_keeps_what_is_left(copy: tuple[Path, dict[int, tuple[str, str]]]) -> None:
    path, messages = copy
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size * 2 // 3 + 123)
    result = repair(path)
    saved = saved_messages(path)
    assert len(messages) // 3 < len(saved) < len(messages)
    assert saved.items() <= messages.items()
    assert result.missing_messages + len(saved) <= len(messages)


def test_messages_whose_conversations_are_lost_get_new_ones(copy: tuple[Path, dict[int, tuple[str, str]]]) -> None:
    path, messages = copy
    for leaf in leaf_pages(path, "conversations"):
        overwrite(path, (leaf - 1) * PAGE, b"\0" * PAGE)
    result = repair(path)
    assert saved_messages(path) == messages
    assert result.untitled_conversations == CONVERSATIONS
    database = Database(path)
    found = Conversations(database).browse(limit=100)
    assert {conversation.title for conversation in found} == {title_from(message_text(n, 0)) for n in range(CONVERSATIONS)}
    assert {conversation.titled_by for conversation in found} == {"auto"}
    assert all(conversation.messages == TURNS and conversation.head for conversation in found)
    database.close()


def test_a_message_with_a_damaged_part_is_kept_and_says_so(copy: tuple[Path, dict[int, tuple[str, str]]]) -> None:
    path, messages = copy
    key, text = max(((key, text) for key, (_, text) in messages.items()), key=lambda pair: len(pair[1]))
    needle = text.encode()[2000:2020]
    data = path.read_bytes()
    at = data.index(needle, data.index(text.encode()[:40]))
    overwrite(path, at, b"\xff" * 8)
    repair(path)
    database = Database(path)
    damaged = database.query("SELECT * FROM messages WHERE error <> ''")
    assert len(damaged) == 1
    assert damaged[0]["status"] == "interrupted"
    assert "\ufffd" in damaged[0]["content"]
    database.close()
    assert len(saved_messages(path)) == len(messages)
    assert key in saved_messages(path)


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_never_invents_or_changes_a_message(copy: tuple[Path, dict[int, tuple[str, str]]], seed: int) -> None:
    path, messages = copy
    chance = random.Random(seed)
    size = path.stat().st_size
    for _ in range(chance.randrange(1, 12)):
        overwrite(path, chance.randrange(size), chance.randbytes(chance.choice((1, 64, 512, PAGE, 3 * PAGE))))
    repair(path)
    saved = saved_messages(path)
    database = Database(path)
    marked = {row["id"] for row in database.query("SELECT id FROM messages WHERE error <> ''")}
    database.close()
    whole = {key: value for key, value in saved.items() if key not in marked and key in messages}
    changed = {key for key, value in whole.items() if value[1] != messages[key][1]}
    # A flipped byte that leaves valid text cannot be told from what was written.
    assert len(changed) <= 3
    assert len(saved.keys() - messages.keys()) <= 2
    assert len(saved) > len(messages) // 3


def test_what_stands_only_in_the_log_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "mtntui.db"
    script = (
        "import os, sys; from pathlib import Path; from engine.store.database import Database;"
        "from engine.store.conversations import Conversations; c = Conversations(Database(Path(sys.argv[1])));"
        "i = c.create().id; [c.add_user_message(i, f'message {n} ' * 50) for n in range(40)]; os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert Path(f"{path}-wal").stat().st_size > 100_000
    overwrite(path, 0, b"\0" * path.stat().st_size)

    result = repair(path)

    assert [text for _, text in saved_messages(path).values()] == [f"message {n} " * 50 for n in range(40)]
    assert Path(f"{result.kept}-wal").exists()
    assert not Path(f"{path}-wal").exists()


def test_a_reply_that_was_growing_is_marked_and_found(tmp_path: Path) -> None:
    path = tmp_path / "mtntui.db"
    database = Database(path)
    conversations = Conversations(database)
    conversation = conversations.create().id
    user = conversations.add_user_message(conversation, "question")
    reply = conversations.start_reply(conversation, parent=user.id, model="m", parameters={})
    conversations.grow_reply(reply.id, "half an answer")
    database.close()
    repair(path)
    database = Database(path)
    assert Conversations(database).message(reply.id).status == "interrupted"
    assert [found.id for found in Conversations(database).browse("answer")] == [conversation]
    database.close()


def test_deleted_rows_do_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "mtntui.db"
    database = Database(path)
    for number in range(200):
        Models(database).put(ModelRecord(f"model-{number}", "onnx", Path("/x"), details={"hashes": "f" * 300}))
    for number in range(1, 200):
        Models(database).remove(f"model-{number}")
    database.close()
    result = repair(path)
    assert result.rows["models"] == 1


def test_a_database_that_another_program_has_open_is_left_alone(copy: tuple[Path, dict[int, tuple[str, str]]]) -> None:
    path, _ = copy
    script = (
        "import sys; from pathlib import Path; from engine.store.database import Database; d = Database(Path(sys.argv[1]));"
        "d.query('SELECT 1 FROM models'); print('open', flush=True); sys.stdin.read()"
    )
    before = path.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        with pytest.raises(StorageError, match="open in another program"):
            repair(path)
        other.communicate()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir() if not file.name.startswith("mtntui.db")] == []


def test_there_must_be_a_database(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        repair(tmp_path / "mtntui.db")


def test_a_file_cut_off_in_its_header_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "mtntui.db"
    path.write_bytes(b"SQLite format 3\x00\x10")
    assert repair(path).rows["messages"] == 0


def test_messages_that_damage_made_follow_each_other_in_a_circle_are_put_in_order(tmp_path: Path) -> None:
    path = tmp_path / "mtntui.db"
    database = Database(path)
    store = Conversations(database)
    conversation = store.create().id
    first, second = (store.add_user_message(conversation, text) for text in ("one", "two"))
    with database.transaction() as connection:
        connection.execute("UPDATE messages SET parent = ? WHERE id = ?", (second.id, first.id))
    database.close()
    repair(path)
    database = Database(path)
    assert [message.content for message in Conversations(database).messages(conversation)] == ["one", "two"]
    database.close()
