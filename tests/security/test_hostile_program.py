"""The whole program on a real terminal, in a workspace full of hostile text: titles, names, messages, replies, errors."""

import re
import sys
import time
from pathlib import Path

import pytest
from cli_program import program_environment
from pty_program import PtyProgram
from scripted_host import scripted
from security.hostile import CORPUS, MARK, MARKUP, SEQUENCES, garbage, intrusions

from engine.errors import HostError
from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace

HOSTILE = "\n\n".join(f"<{name}> {text}" for name, text in CORPUS.items())
TITLES = [f"zebra {text}" for text in (*SEQUENCES.values(), *MARKUP.values())]
PROGRAM = [sys.executable, "-m", "mtntui"]


def storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Conversations, ratings, errors and models whose every text is hostile."""
    database = Database(Workspace(tmp_path).prepare().database)
    conversations = Conversations(database)
    for title in TITLES:
        conversation = conversations.create(title=storable(title), model=storable(title))
        user = conversations.add_user_message(conversation.id, title)
        reply = conversations.start_reply(conversation.id, parent=user.id, model=storable(title), parameters={})
        failed = "failed" if len(title) % 2 else "complete"
        conversations.finish_reply(reply.id, storable(HOSTILE), failed, error=storable(title) if failed == "failed" else "")
        conversations.rate(reply.id, "bad", correction=storable(HOSTILE))
    models = Models(database)
    for number, title in enumerate(TITLES):
        name = storable(f"{number}{title}")
        folder = tmp_path / "models" / f"m{number}"
        models.put(ModelRecord(name, "onnx", folder, source=name, licence=name, architecture=name, precision=name[:9]))
    database.close()
    return tmp_path


def terminal(home: Path, *arguments: str, columns: int = 120, rows: int = 40) -> PtyProgram:
    return PtyProgram([*PROGRAM, *arguments], columns=columns, rows=rows, env=dict(program_environment(home)))


@pytest.mark.parametrize("text", [HOSTILE, garbage(60_000)], ids=["corpus", "garbage"])
def test_every_part_of_the_screen_shows_hostile_text_harmlessly(home: Path, text: str) -> None:
    with scripted(home, text, rate=4000), terminal(home) as program:
        program.wait_for("Write a message")
        program.wait_until_quiet()
        for keys in (
            "\x06zebra\r", "\x1b[B\x1b[B\r",  # search, and open what was found
            "\x1b[1;5A\x1b[1;5A", "\x1b[20~",  # select a message, copy it
            "\x1bOQ", "\x1b",  # rename
            "\x1bOR", "\x1bOS",  # delete, undo
            "\x1b[19~", "\x1b",  # correct
            "\x0f", "1", "\x1b",  # the model picker
            "\x10zebra", "\x1b",  # the palette
            "\x0f", "scripted\r",  # choose the model that answers
            "\x0e", "say it\r",
        ):  # fmt: skip
            program.send(keys)
            time.sleep(0.3)  # Esc and what follows it at once would be one key
            program.wait_until_quiet(0.2, timeout=5)
        program.wait_for("tokens/s", timeout=60)
        program.wait_until_quiet(1, timeout=20)
        program.send("\x11")
        assert program.wait(20) == 0
        output = program.output
    assert b"Traceback" not in output
    copied = re.compile(rb"\x1b\]52;c;[A-Za-z0-9+/=]*\x07")  # what F9 copied, in base64; the corpus's own holds its mark
    assert [part for part in intrusions(output) if MARK.encode() in part or not copied.fullmatch(part)] == []
    assert not (home / "logs" / "mtntui.log").exists(), (home / "logs" / "mtntui.log").read_text()


@pytest.mark.parametrize(
    "command",
    [
        ["logs", "list", "--limit", "100"],
        ["logs", "search", "zebra"],
        ["models", "list"],
        ["doctor"],
        ["ask", "--model", "scripted", "say it"],
        ["ask", "--model", storable(TITLES[0]), "say it"],
        ["logs", "show", TITLES[1].replace("\0", "")],
        ["models", "show", TITLES[2].replace("\0", "")],
        ["models", "add", "/nowhere/" + TITLES[3].replace("\0", "")],
        ["models", "remove", "x" + TITLES[6].replace("\0", "")],
        [TITLES[5].replace("\0", "")],
    ],
    ids=lambda command: " ".join(command)[:14],
)
def test_the_command_line_writes_no_control_sequence_to_a_terminal(home: Path, command: list[str]) -> None:
    with scripted(home, HOSTILE), terminal(home, *command) as program:
        program.wait(60)
        output = program.output
    assert output
    assert b"Traceback" not in output
    assert intrusions(output) == []


def test_each_message_and_model_is_shown_harmlessly(home: Path) -> None:
    database = Database(home / "mtntui.db")
    identifiers = [conversation.id for conversation in Conversations(database).browse(limit=3)]
    names = [record.name for record in Models(database).all()][:3]
    database.close()
    for command in [*(["logs", "show", one] for one in identifiers), *(["models", "show", one] for one in names)]:
        if "\0" in command[-1]:
            continue
        with terminal(home, *command) as program:
            assert program.wait(60) == 0
            assert intrusions(program.output) == []


def test_what_is_piped_is_the_very_text(home: Path) -> None:
    import subprocess

    with scripted(home, storable(HOSTILE)):
        done = subprocess.run(
            [*PROGRAM, "ask", "--model", "scripted", "say it"], capture_output=True, env=program_environment(home), check=True
        )
    assert done.stdout.decode() == storable(HOSTILE) + "\n"


def test_an_error_keeps_what_it_quotes() -> None:
    assert "\x1b" in str(HostError("\x1b[31m")), "errors stay as they are; the door is where they are shown"
