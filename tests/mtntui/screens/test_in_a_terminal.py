"""The program as a whole on a real terminal: what it writes, what it costs, how it ends."""

import os
import shutil
import subprocess
import sys
import time

import pytest
from cli_program import PROGRAM, ROOT, add_tiny_model, program_environment
from pty_program import PtyProgram

from engine.store.conversations import Conversations
from engine.store.database import Database


def start(home, **options):
    env = {"MTNTUI_HOME": str(home), "PYTHONPATH": str(ROOT)} | options.pop("env", {})
    return PtyProgram(PROGRAM, env=env, **options)


@pytest.fixture
def model_home(tmp_path):
    add_tiny_model(tmp_path / "home", context=16384)
    yield tmp_path / "home"
    subprocess.run([*PROGRAM, "host", "stop"], env=program_environment(tmp_path / "home"), capture_output=True, check=False)


def test_nothing_is_written_at_rest_and_little_for_a_key(tmp_path):
    with start(tmp_path / "home") as program:
        program.wait_for("Write a message")
        program.wait_until_quiet(1)
        assert program.collect(3) == b""
        for typed in ("h", "he", "hel", "hell", "hello"):
            before = len(program.output)
            program.send(typed[-1])
            program.wait_for(f"› {typed}")
            program.wait_until_quiet(0.3)
            assert len(program.output) - before <= 650


def test_a_pasted_megabyte_is_taken_in_at_once(tmp_path):
    with start(tmp_path / "home") as program:
        program.wait_for("Write a message")
        program.wait_until_quiet(0.5)
        program.send(b"\x1b[200~" + b"lorem ipsum dolor " * 58_000 + b"\x1b[201~")
        program.wait_for("[pasted text 1: 1,044,", 30)
        begun = time.monotonic()
        program.send("x")
        program.wait_for("]x" if "]x" in program.text() else "characters]x")
        assert time.monotonic() - begun < 1


def test_a_reply_outlives_the_program_that_asked_for_it(model_home):
    settings = {"MTNTUI_CHAT_MAX_NEW_TOKENS": "16000"}
    with start(model_home, env=settings) as program:
        program.wait_for("Write a message")
        program.wait_until_quiet(0.5)
        program.send("Hello\r")
        program.wait_for("writing", 30)
        program.kill()
    with start(model_home, env=settings) as program:
        program.wait_for("writing", 30)
        program.send("\x1b")
        program.wait_for("stopped", 30)
    database = Database(model_home / "mtntui.db")
    (conversation,) = Conversations(database).browse()
    assert [message.status for message in Conversations(database).messages(conversation.id)] == ["complete", "stopped"]
    database.close()


@pytest.mark.parametrize("changes", [{"TERM": "xterm"}, {"NO_COLOR": "1"}, {"TERM": "vt100"}])
def test_it_is_legible_on_plain_terminals(tmp_path, changes):
    with start(tmp_path / "home", env=changes) as program:
        program.wait_for("Write a message")
        program.wait_for("no model on this machine")
        program.send("\x1bOP")
        program.wait_for("Send what stands in the prompt.")


def test_ctrl_c_twice_leaves_with_status_0(tmp_path):
    with start(tmp_path / "home") as program:
        program.wait_for("Write a message")
        program.wait_until_quiet(0.5)
        program.send("\x03")
        program.wait_for("again to quit")
        program.send("\x03")
        assert program.wait() == 0


def test_a_corrupt_database_is_a_sentence(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "mtntui.db").write_bytes(b"SQLite format 3\x00" + os.urandom(8192))
    with start(home) as program:
        assert program.wait() == 1
        shown = " ".join(program.text().split())
        assert "damaged" in shown and "mtntui doctor" in shown and "Traceback" not in shown


def test_an_error_of_our_own_is_a_sentence_and_its_traceback_is_in_the_log(tmp_path):
    code = (
        "import sys; sys.argv = ['mtntui']; from mtntui.app import MtntuiApp; "
        "MtntuiApp.action_help = lambda self: 1 / 0; from mtntui.__main__ import main; sys.exit(main())"
    )
    env = {"MTNTUI_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    with PtyProgram([sys.executable, "-c", code], env=env) as program:
        program.wait_for("Write a message")
        program.wait_until_quiet(0.5)
        program.send("\x1bOP")
        assert program.wait() == 1
        assert "error of its own" in " ".join(program.text().split()) and "Traceback" not in program.text()
    assert "ZeroDivisionError" in (tmp_path / "home" / "logs" / "mtntui.log").read_text()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_copying_inside_tmux_goes_through_tmux(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    database = Database(home / "mtntui.db")
    store = Conversations(database)
    conversation = store.create()
    user = store.add_user_message(conversation.id, "Hi")
    reply = store.start_reply(conversation.id, parent=user.id, model="m", parameters={})
    store.finish_reply(reply.id, "Copied *text*\nof two lines", "complete")
    database.close()
    tmux = ["tmux", "-L", f"mtntui-test-{os.getpid()}", "-f", "/dev/null"]
    env = program_environment(home) | {"TERM": "xterm-256color"}
    try:
        subprocess.run([*tmux, "new-session", "-d", "-x", "100", "-y", "30", *PROGRAM], env=env, check=True)
        _wait_for(lambda: "of two lines" in _output([*tmux, "capture-pane", "-p"]))
        subprocess.run([*tmux, "send-keys", "F9"], check=True)
        _wait_for(lambda: "through tmux" in _output([*tmux, "capture-pane", "-p"]))
        assert _output([*tmux, "show-buffer"]) == "Copied *text*\nof two lines"
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def _output(command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _wait_for(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
