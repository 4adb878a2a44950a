"""The program as a person meets it: a real terminal, a real model, and accidents."""

import os
import re
import signal
import sqlite3
import sys
import time

import pytest
from pty_program import PtyProgram
from scripted_host import scripted

from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PROGRAM = [sys.executable, "-m", "mtntui"]
STORY = "Once upon a time there was a river. It went to the sea and told the stones about it. " * 200


def program(home, *arguments, columns=80, rows=24, **env):
    return PtyProgram([*PROGRAM, *arguments], columns=columns, rows=rows, env={"MTNTUI_HOME": str(home), **env})


def stored(home):
    """The messages of the workspace, oldest first: role, status, text."""
    with sqlite3.connect(home / "mtntui.db") as connection:
        return connection.execute("SELECT role, status, content FROM messages ORDER BY id").fetchall()


def wait_until(condition, timeout=20.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to be")


def host_pid(home):
    return int((home / "run" / "host.lock").read_text())


@pytest.mark.parametrize(
    ("columns", "rows", "term"), [(80, 24, "xterm-256color"), (200, 50, "xterm-256color"), (80, 24, "xterm")]
)
def test_a_real_model_answers_in_the_terminal_and_everything_is_in_the_log(smollm2_home, columns, rows, term):
    question = f"What is the capital of France? Answer in one sentence ({columns} {term})."
    before = len(stored(smollm2_home))
    with program(smollm2_home, columns=columns, rows=rows, TERM=term, MTNTUI_CHAT_TEMPERATURE="0") as terminal:
        terminal.wait_for("Write a message")
        terminal.send("\x0e")  # Ctrl+N
        terminal.send(question + "\r")
        wait_until(lambda: len(stored(smollm2_home)) == before + 2 and stored(smollm2_home)[-1][1] == "complete", 60)
        terminal.wait_for("Paris")
        terminal.wait_for("tokens/s")
        terminal.send("\x11")  # Ctrl+Q
        assert terminal.wait() == 0
        assert b"Traceback" not in terminal.output
    user, reply = stored(smollm2_home)[before:]
    assert user == ("user", "complete", question)
    assert reply[0] == "assistant"
    assert "Paris" in reply[2]


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_is_refused_with_what_to_use_instead(tmp_path, term):
    with program(tmp_path, TERM=term) as terminal:
        assert terminal.wait() != 0
        assert "mtntui ask" in " ".join(terminal.text().split())
        assert b"\x1b" not in terminal.output


def test_a_killed_terminal_leaves_the_reply_to_the_host_and_shows_it_whole_when_opened_again(tmp_path):
    with scripted(tmp_path, STORY[:3000], rate=150):
        with program(tmp_path) as terminal:
            terminal.wait_for("Write a message")
            terminal.send("tell me\r")
            terminal.wait_for("Once upon a time")
            terminal.kill(signal.SIGKILL)
        assert stored(tmp_path)[-1][1] == "streaming"
        with program(tmp_path) as terminal:
            terminal.wait_for("told the stones")
            wait_until(lambda: stored(tmp_path)[-1][1] == "complete")
            terminal.wait_for("tokens/s")
            assert stored(tmp_path)[-1][2] == STORY[:3000]


def test_everything_killed_in_mid_reply_loses_at_most_a_second_and_says_so(tmp_path):
    rate = 50
    with scripted(tmp_path, STORY, rate=rate):
        with program(tmp_path) as terminal:
            terminal.wait_for("Write a message")
            terminal.send("tell me\r")
            terminal.wait_for("Once upon a time")
            began = time.monotonic()
            time.sleep(3)
            os.kill(host_pid(tmp_path), signal.SIGKILL)
            lasted = time.monotonic() - began
            terminal.kill(signal.SIGKILL)
        kept = stored(tmp_path)[-1][2]
        assert STORY.startswith(kept)
        assert len(kept) >= (lasted - 1.0) * rate * 4, "more than a second's text was lost"
    with program(tmp_path) as terminal:
        terminal.wait_for("interrupted")
        assert "Once upon" in terminal.text() or "river" in terminal.text()
        terminal.wait_for("Write a message")
    assert stored(tmp_path)[-1][1:] == ("interrupted", kept)


def test_a_host_that_dies_is_said_and_the_next_message_starts_another(smollm2_home):
    with program(smollm2_home, MTNTUI_CHAT_TEMPERATURE="0") as terminal:
        terminal.wait_for("Write a message")
        terminal.send("\x0eWrite a long story about a lighthouse keeper and the sea.\r")
        wait_until(lambda: stored(smollm2_home)[-1][1] == "streaming" and stored(smollm2_home)[-1][2], 60)
        os.kill(host_pid(smollm2_home), signal.SIGKILL)
        terminal.wait_for("ended in the middle", timeout=10)
        assert stored(smollm2_home)[-1][1] == "interrupted"
        assert stored(smollm2_home)[-1][2], "what was written is kept"
        terminal.send("What is the capital of France?\r")
        terminal.wait_for("Paris", timeout=60)


def test_a_stopped_reply_is_kept(tmp_path):
    with scripted(tmp_path, STORY, rate=100), program(tmp_path) as terminal:
        terminal.wait_for("Write a message")
        terminal.send("tell me\r")
        terminal.wait_for("Once upon a time")
        terminal.send("\x1b")
        terminal.wait_for("stopped")
        role, status, text = stored(tmp_path)[-1]
        assert (role, status) == ("assistant", "stopped")
        assert text
        assert STORY.startswith(text)
        terminal.send("\x03")  # nothing to stop now: the first one only warns
        terminal.wait_for("again")
        terminal.send("\x03")
        assert terminal.wait() == 0


def test_a_prompt_of_a_megabyte_is_refused_by_the_model_and_not_lost(smollm2_home):
    with program(smollm2_home) as terminal:
        terminal.wait_for("Write a message")
        terminal.send("\x0e")
        terminal.send("\x1b[200~" + "many words " * 95_000 + "\x1b[201~")
        terminal.wait_for("pasted text", timeout=20)
        terminal.send("\r")
        terminal.wait_for("too long", timeout=60)
        terminal.wait_for("pasted text", timeout=20)
        longest = max(len(text) for _, _, text in stored(smollm2_home))
        assert longest >= 1_000_000


def test_two_programs_on_one_workspace_see_each_other(tmp_path):
    with (
        scripted(tmp_path, "An answer from the host.", rate=20),
        program(tmp_path, columns=120) as first,
        program(tmp_path, columns=120) as second,
    ):
        first.wait_for("Write a message")
        second.wait_for("Write a message")
        first.send("a question about herons\r")
        first.wait_for("An answer from the host.")
        second.wait_for("a question about herons", timeout=10)


def test_a_tiny_terminal_says_so_and_recovers(tmp_path):
    with scripted(tmp_path, "Fine."), program(tmp_path, columns=40, rows=10) as terminal:
        terminal.wait_for("small")
        terminal.resize(80, 24)
        terminal.wait_for("Write a message")
        for columns, rows in ((20, 3), (1, 1), (300, 80), (80, 24)):
            terminal.resize(columns, rows)
            time.sleep(0.3)
        terminal.wait_for("Write a message")
        terminal.send("hello\r")
        terminal.wait_for("Fine.")


def test_no_color_means_no_colour(tmp_path):
    with scripted(tmp_path, "A **bold** `word`."), program(tmp_path, NO_COLOR="1") as terminal:
        terminal.wait_for("Write a message")
        terminal.send("hello\r")
        terminal.wait_for("A bold word.")
        palette = {int(index) for index in re.findall(rb"[34]8;5;(\d+)", terminal.output)}
        assert palette <= {0, 7, 8, 15, 16, *range(231, 256)}, "greys at most"
        assert not re.search(
            rb"\x1b\[(?:\d+;)*(?:3[1-6]|4[1-6]|9[1-6]|10[1-6])[;m]", re.sub(rb"[34]8;5;\d+;?", b"", terminal.output)
        )


def test_a_damaged_database_and_an_unwritable_home_are_said_in_two_sentences(tmp_path):
    (tmp_path / "mtntui.db").write_bytes(b"this is no database" * 1000)
    with program(tmp_path) as terminal:
        assert terminal.wait() == 1
        shown = " ".join(terminal.text().split())
        assert "damaged" in shown
        assert "doctor --repair" in shown
        assert "Traceback" not in shown
    (tmp_path / "file").write_text("")
    with program(tmp_path / "file") as terminal:
        assert terminal.wait() == 1
        assert "Traceback" not in terminal.text()
        assert "MTNTUI_HOME" in terminal.text()


def test_a_rating_and_a_correction_are_kept_and_leaving_the_editor_says_nothing(tmp_path):
    with scripted(tmp_path, "The answer is 41."), program(tmp_path) as terminal:
        terminal.wait_for("Write a message")
        terminal.send("6 times 7?\r")
        terminal.wait_for("The answer is 41.")
        conversations = Conversations(Database(Workspace(tmp_path).database))
        reply = conversations.messages(conversations.browse()[0].id)[-1].id
        terminal.send("\x1b[19~")  # F8
        terminal.wait_until_quiet()
        terminal.send("x\x1b")
        terminal.wait_until_quiet()
        rated = conversations.message(reply)
        assert (rated.rating, rated.correction) == (None, None), "an interrupted correction is no opinion"
        terminal.send("\x1b[17~")  # F6
        wait_until(lambda: conversations.message(reply).rating == "good")


def test_a_pasted_text_keeps_its_lines_and_a_long_prompt_leaves_room(tmp_path):
    few, many = [f"few {number}" for number in range(30)], [f"many {number}" for number in range(300)]
    with scripted(tmp_path, "Fine."), program(tmp_path) as terminal:
        terminal.wait_for("Write a message")
        terminal.send("\x1b[200~" + "\r".join(few) + "\x1b[201~")  # tmux sends line ends so
        terminal.wait_for("few 29")
        terminal.wait_until_quiet()
        rows = terminal.text().splitlines()
        assert sum("few " in row for row in rows) == 8, "a third of the screen, all of it text"
        assert any("scripted" in row for row in rows[-3:]), "the status line is still there"
        terminal.send("\r")
        terminal.wait_for("Fine.")
        terminal.send("\x1b[200~" + "\r\n".join(many) + "\x1b[201~")
        terminal.wait_for("pasted text")
        terminal.send("\r")
        wait_until(lambda: len(stored(tmp_path)) == 4)
    assert [text for role, _, text in stored(tmp_path) if role == "user"] == ["\n".join(few), "\n".join(many)]
