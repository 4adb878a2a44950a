"""`mtntui logs`: what a person reads and what a script gets."""

import re
from pathlib import Path

import pytest
from cli_program import PROGRAM, mtntui, mtntui_json, program_environment
from pty_program import PtyProgram

from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.workspace import Workspace

HOSTILE = "\x1b]52;c;aGk=\x07 \u202eevil [bold]x[/bold] \x9b31m"
CONVERSATION_FIELDS = {
    "id",
    "title",
    "titled_by",
    "source",
    "model",
    "system",
    "head",
    "archived",
    "created_at",
    "updated_at",
    "messages",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    database = Database(Workspace(home).prepare().database)
    conversations = Conversations(database)
    for question, answer, status in (
        ("What is a hash table?", "It maps keys to values.\n\n```python\nd = {}\n```\n", "complete"),
        (f"Say {HOSTILE}", f"Here: {HOSTILE}", "stopped"),
        ("漢字 と 🙂 " + "a very long title " * 20, "好", "cut"),
    ):
        identifier = conversations.create(model="tiny", system="Be kind." if "hash" in question else "").id
        user = conversations.add_user_message(identifier, question)
        reply = conversations.start_reply(identifier, parent=user.id, model="tiny", parameters={"seed": 1})
        conversations.finish_reply(reply.id, answer, status)  # type: ignore[arg-type]
        if "hash" in question:
            conversations.rate(reply.id, "bad", correction="A dictionary.")
    database.close()
    return home


def identifier_of(home: Path, query: str) -> str:
    (found,) = mtntui_json(home, "logs", "list", "--query", query)
    return str(found["id"])


def test_the_list_is_a_table_with_the_newest_first(home: Path) -> None:
    done = mtntui(home, "logs", "list")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ID", "TITLE", "MODEL", "MESSAGES", "UPDATED"]
    assert len(lines) == 4
    assert "漢字" in lines[1] and "hash table" in lines[3]
    assert re.search(r"tiny +2  \d{4}-\d\d-\d\d \d\d:\d\d$", lines[3])


def test_the_list_fits_a_terminal_to_the_cell(home: Path) -> None:
    with PtyProgram([*PROGRAM, "logs", "list"], columns=70, env=program_environment(home)) as program:
        assert program.wait() == 0
        rows = [row for row in program.text().splitlines() if row.strip()]
    assert len(rows) == 4, "no line was folded"
    assert all(row.endswith(("UPDATED", *"0123456789")) for row in rows)
    assert "…" in rows[1]


def test_the_list_as_json_is_stable(home: Path) -> None:
    found = mtntui_json(home, "logs", "list")
    assert [set(conversation) for conversation in found] == [CONVERSATION_FIELDS] * 3
    assert mtntui_json(home, "logs", "list", "--limit", "1", "--offset", "1") == found[1:2]
    assert mtntui_json(home, "logs", "list", "--query", "dictionary") == []
    assert [c["title"] for c in mtntui_json(home, "logs", "list", "--query", "hash")] == ["What is a hash table?"]
    assert mtntui_json(home, "logs", "list", "--archived") == []


def test_no_conversations_is_said_beside_the_result(tmp_path: Path) -> None:
    done = mtntui(tmp_path / "home", "logs", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no conversations yet" in done.stderr
    assert mtntui_json(tmp_path / "home", "logs", "list") == []


def test_a_conversation_reads_as_plain_text(home: Path) -> None:
    shown = mtntui(home, "logs", "show", identifier_of(home, "hash")[:6]).stdout
    assert re.fullmatch(
        r"What is a hash table\?\n\w+, chat, begun [\d: -]+\n\nSystem prompt\nBe kind\.\n\n"
        r"You · [\d: -]+\nWhat is a hash table\?\n\n"
        r"tiny · [\d: -]+ · rated bad\nIt maps keys to values\.\n\n```python\nd = \{\}\n```\n\nYour correction\nA dictionary\.\n",
        shown,
    )


def test_a_conversation_as_json_holds_everything(home: Path) -> None:
    shown = mtntui_json(home, "logs", "show", identifier_of(home, "hash"))
    assert set(shown) == CONVERSATION_FIELDS
    user, reply = shown["messages"]
    assert (user["role"], reply["role"], reply["parent"]) == ("user", "assistant", user["id"])
    assert (reply["rating"], reply["correction"], reply["parameters"]) == ("bad", "A dictionary.", {"seed": 1})


def test_hostile_text_leaves_a_pipe_as_it_was_and_never_reaches_a_terminal(home: Path) -> None:
    identifier = identifier_of(home, "evil")
    assert f"Here: {HOSTILE}" in mtntui(home, "logs", "show", identifier).stdout
    assert mtntui_json(home, "logs", "show", identifier)["messages"][1]["content"] == f"Here: {HOSTILE}"
    for command in (["show", identifier], ["list"], ["search", "evil"], ["show", identifier, "--json"]):
        with PtyProgram([*PROGRAM, "logs", *command], env=program_environment(home, {"TERM": "dumb"})) as program:
            assert program.wait() == 0
            output = program.output.decode()
        assert not set(output) & {"\x1b", "\x07", "\x9b", "\u202e"}, command
        if "--json" not in command:
            assert "[bold]x[/bold]" in output or "list" in command


def test_a_search_shows_where_the_words_stand(home: Path) -> None:
    done = mtntui(home, "logs", "search", "keys", "val")
    title, snippet = done.stdout.splitlines()
    assert title.endswith("What is a hash table?")
    assert snippet.startswith("    It maps keys to values.")
    assert "\x1b" not in done.stdout and "\x02" not in done.stdout
    with PtyProgram([*PROGRAM, "logs", "search", "keys"], env=program_environment(home)) as program:
        assert program.wait() == 0
        assert b"\x1b[1mkeys\x1b[0m" in program.output


def test_a_search_as_json_gives_the_places(home: Path) -> None:
    (found,) = mtntui_json(home, "logs", "search", "maps", "values")
    assert set(found) == CONVERSATION_FIELDS | {"snippet", "found"}
    assert [found["snippet"][start:end] for start, end in found["found"]] == ["maps", "values"]


@pytest.mark.parametrize("words", [["nothing-of-this"], ["***"], ['"'], ["' OR 1=1 --"], ["NEAR(", "AND"]])
def test_a_search_that_finds_nothing_says_so(home: Path, words: list[str]) -> None:
    done = mtntui(home, "logs", "search", "--", *words)
    assert (done.returncode, done.stdout) == (0, "")
    assert "No conversation" in done.stderr


def test_an_id_that_is_not_there_is_said(home: Path) -> None:
    done = mtntui(home, "logs", "show", "ffffffffffff")
    assert done.returncode == 1
    assert done.stderr == "There is no conversation 'ffffffffffff'.\nSee `mtntui logs list`.\n"


def test_an_empty_list_says_why_it_is_empty(home: Path) -> None:
    assert mtntui(home, "logs", "list", "--limit", "0").stderr == "--limit 0 shows none.\n"
    assert mtntui(home, "logs", "search", "a", "--limit", "0").stderr == "--limit 0 shows none.\n"
    assert mtntui(home, "logs", "list", "--offset", "5000").stderr == "There is nothing after the first 5,000.\n"
