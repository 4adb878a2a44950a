"""What was written and not sent is there at the next start."""

import os
import stat
import subprocess
import time

import pytest
from cli_program import PROGRAM, ROOT, add_tiny_model, program_environment
from pty_program import PtyProgram
from textual.events import Paste

from engine.store.conversations import Conversations
from engine.store.database import Database
from mtntui.drafts import DraftFiles

from .chat_app import add_conversation, chat_app, settings_for, toasts, type_text, until
from .test_bursts import burst, said


def start(home, **options):
    return PtyProgram(PROGRAM, env={"MTNTUI_HOME": str(home), "PYTHONPATH": str(ROOT)}, **options)


@pytest.fixture
def pty_home(tmp_path):
    add_tiny_model(tmp_path / "home", context=16384)
    yield tmp_path / "home"
    subprocess.run([*PROGRAM, "host", "stop"], env=program_environment(tmp_path / "home"), capture_output=True, check=False)


def test_a_killed_terminal_keeps_what_stood_in_the_prompt(pty_home):
    with start(pty_home) as program:
        program.wait_for("answers.")
        program.send("half a thought")
        program.wait_for("› half a thought")
        time.sleep(2)
        program.kill()
    (kept,) = (pty_home / "drafts").iterdir()
    assert kept.read_text() == "half a thought"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with start(pty_home) as program:
        program.wait_for("› half a thought")
        program.send(" more")
        program.wait_for("› half a thought more")


def test_a_burst_of_text_and_ctrl_q_is_a_draft(pty_home):
    with start(pty_home) as program:
        program.wait_for("answers.")
        program.wait_until_quiet()
        program.send("not yet sent\x11")
        assert program.wait() == 0
    with start(pty_home) as program:
        program.wait_for("› not yet sent")


def test_a_burst_of_text_enter_and_ctrl_q_is_stored_once_and_no_draft(pty_home):
    for at, early in enumerate((False, False, True)):
        with start(pty_home) as program:
            program.wait_for("Write a message")
            if not early:
                program.wait_until_quiet()
            program.send(f"\x0emessage {at}\r\x11")
            assert program.wait() == 0
        database = Database(pty_home / "mtntui.db")
        store = Conversations(database)
        written = [m.content for one in store.browse() for m in store.messages(one.id) if m.role == "user"]
        database.close()
        assert sorted(written) == [f"message {number}" for number in range(at + 1)]
        assert not list((pty_home / "drafts").glob("*"))


async def test_each_conversation_has_its_own_draft_also_after_a_quit(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        one = add_conversation(screen.services.database, "One", "1")
        two = add_conversation(screen.services.database, "Two", "2")
        for conversation, text in ((one, "for one"), (two, "for two")):
            await screen.desk.open(conversation.id)
            await type_text(pilot, text)
        burst(pilot, "ctrl+n", *"new", "ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0)
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        assert (screen.desk.open_id, screen.prompt.text) == ("", "new"), "the draft that was written last is in front"
        await screen.desk.open(one.id)
        assert screen.prompt.text == "for one"
        screen.prompt.put("")
        await screen.desk.open(two.id)
        assert screen.prompt.text == "for two"
        await pilot.press("ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0)
    left = sorted(path.name for path in (model_home / "drafts").iterdir())
    assert left == sorted(["new.txt", f"{two.id}.txt"])


async def test_a_large_paste_is_kept_whole_and_comes_back_as_a_placeholder(model_home):
    pasted = "".join(f"line {number}\n" for number in range(5000))
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        pilot.app.post_message(Paste(pasted))
        await pilot.press("ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0)
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        assert screen.prompt.text.startswith("[pasted text")
        assert screen.prompt.pastes.expand(screen.prompt.text) == pasted


async def test_a_draft_that_was_sent_from_another_terminal_does_not_come_back(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        await type_text(pilot, "once")
        await pilot.press("ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0)
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        assert screen.prompt.text == "once"
        screen.services.drafts.write({"": ""})  # As the other one does when it has sent it.
        await pilot.press("ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0)
    assert not list((model_home / "drafts").iterdir())


async def test_a_message_whose_storing_fails_is_a_draft_after_a_quit(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        conversation = add_conversation(screen.services.database, "One", "1")
        await screen.desk.open(conversation.id)
        refusal = "CREATE TRIGGER refuse BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'not now'); END"
        screen.services.database.query(refusal)
        burst(pilot, *"hi", "enter", "ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0)
        assert said(screen) == [["One"]]
    assert DraftFiles(model_home / "drafts").read(conversation.id) == "hi"


async def test_drafts_that_cannot_be_kept_are_told_once_and_end_nothing(model_home):
    (model_home / "drafts").write_text("no folder")
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        await type_text(pilot, "one")
        await until(pilot, lambda: "could not be kept" in toasts(pilot), 5)
        pilot.app.clear_notifications()
        await type_text(pilot, "two")
        await pilot.pause(1.5)
        assert toasts(pilot) == "" and screen.prompt.text == "onetwo"
        (model_home / "drafts").unlink()
        await type_text(pilot, "!")
        await until(pilot, lambda: (model_home / "drafts" / "new.txt").exists(), 5)


def test_writing_is_bounded_in_time_while_the_store_is_held(pty_home):
    with start(pty_home) as program:
        program.wait_for("answers.")
        program.wait_until_quiet()
        database = Database(pty_home / "mtntui.db")
        with database.transaction():
            begun = time.monotonic()
            program.send("held\r\x11")
            program.wait_for(b"\x1b[?1049l", 8)  # The terminal is given back.
            assert time.monotonic() - begun < 6
            assert (pty_home / "drafts" / "new.txt").read_text() == "held"
        database.close()
        assert program.wait(20) == 0
    assert os.access(pty_home, os.W_OK)
