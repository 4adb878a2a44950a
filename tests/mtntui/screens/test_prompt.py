import os

import pytest
from textual.events import Paste
from textual.widgets.text_area import Selection

from .chat_app import NARROW, add_conversation, chat_app, settings_for, toasts, type_text, until


async def test_ctrl_j_breaks_the_line_and_the_prompt_grows_to_a_third(home):
    async with chat_app(settings_for(home), size=NARROW) as (pilot, screen):
        assert screen.prompt.size.height == 1
        await type_text(pilot, "a")
        await pilot.press("ctrl+j")
        await type_text(pilot, "b")
        assert screen.prompt.text == "a\nb" and screen.prompt.size.height == 2
        await pilot.press(*["ctrl+j"] * 30)
        assert 6 <= screen.prompt.size.height <= 8


async def test_arrows_recall_earlier_prompts_only_in_an_empty_prompt(home):
    async with chat_app(settings_for(home)) as (pilot, screen):
        made = add_conversation(screen.services.database, "first question", "1", "second question", "2")
        await screen.desk.open(made.id)
        await pilot.press("up")
        assert screen.prompt.text == "second question"
        await pilot.press("up")
        assert screen.prompt.text == "first question"
        await pilot.press("down", "down")
        assert screen.prompt.text == ""
        await type_text(pilot, "mine")
        await pilot.press("up")
        assert screen.prompt.text == "mine"


async def test_a_large_paste_stays_one_thing(home):
    async with chat_app(settings_for(home)) as (pilot, screen):
        await type_text(pilot, "see ")
        pasted = "line of text\n" * 80_000
        pilot.app.post_message(Paste(pasted))
        await pilot.pause()
        assert len(screen.prompt.text) < 60
        assert screen.prompt.pastes.expand(screen.prompt.text) == "see " + pasted
        await pilot.press("backspace")
        assert screen.prompt.text == "see "


async def test_a_small_paste_is_text(home):
    async with chat_app(settings_for(home)) as (pilot, screen):
        pilot.app.post_message(Paste("two\nlines"))
        await pilot.pause()
        assert screen.prompt.text == "two\nlines"


async def test_a_prompt_is_sent_to_the_character(home):
    async with chat_app(settings_for(home)) as (pilot, screen):
        pilot.app.post_message(Paste("a\u2028b\x85c\rd\r\ne"))
        await pilot.pause()
        await pilot.press("ctrl+j", "f")
        assert screen.prompt.text == "a\u2028b\x85c\nd\ne\nf"
        await pilot.press(*["ctrl+z"] * 5)
        assert screen.prompt.text == ""
        await pilot.press(*["ctrl+y"] * 5)
        assert screen.prompt.text == "a\u2028b\x85c\nd\ne\nf"


async def test_what_was_cut_can_be_put_back_also_inside_tmux(home, tmp_path, monkeypatch):
    tmux = tmp_path / "bin" / "tmux"
    tmux.parent.mkdir()
    tmux.write_text(f"#!/bin/sh\ncat >{tmp_path}/copied\n")
    tmux.chmod(0o755)
    monkeypatch.setenv("TMUX", "somewhere")
    monkeypatch.setenv("PATH", f"{tmux.parent}:/usr/bin:/bin")
    async with chat_app(settings_for(home)) as (pilot, screen):
        screen.prompt.put("cut me")
        screen.prompt.select_all()
        await pilot.press("ctrl+x")
        assert screen.prompt.text == ""
        await until(pilot, lambda: (tmp_path / "copied").exists() and (tmp_path / "copied").read_text() == "cut me")
        await pilot.press("ctrl+v")
        assert screen.prompt.text == "cut me"


async def test_a_large_paste_replaces_what_is_selected(home):
    async with chat_app(settings_for(home)) as (pilot, screen):
        screen.prompt.put("keep select")
        screen.prompt.selection = Selection((0, 5), (0, 11))
        screen.prompt.post_message(Paste("x" * 6000))
        await until(pilot, lambda: "pasted" in screen.prompt.text)
        assert screen.prompt.text.startswith("keep [pasted") and "select" not in screen.prompt.text


async def test_a_recalled_large_prompt_keeps_its_placeholder(home):
    async with chat_app(settings_for(home)) as (pilot, screen):
        made = add_conversation(screen.services.database, "first", "1", "word " * 3000, "2")
        await screen.desk.open(made.id)
        await pilot.press("up")
        shown = screen.prompt.text
        assert shown.startswith("[pasted text 1:")
        for _ in range(3):
            await pilot.press("up")
            assert screen.prompt.text == "first"
            await pilot.press("down")
            assert screen.prompt.text == shown


@pytest.mark.parametrize(("script", "said"), [("exec sleep 60", "did not answer"), ("exit 1", "did not take")])
async def test_a_tmux_that_does_not_take_the_text_is_told_and_the_terminal_gets_it(home, tmp_path, monkeypatch, script, said):
    tmux = tmp_path / "bin" / "tmux"
    tmux.parent.mkdir()
    tmux.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\n{script}\n")
    tmux.chmod(0o755)
    monkeypatch.setenv("TMUX", "somewhere")
    monkeypatch.setenv("PATH", f"{tmux.parent}:/usr/bin:/bin")
    async with chat_app(settings_for(home)) as (pilot, screen):
        screen.app.copy_to_clipboard("x" * 300_000)
        await until(pilot, lambda: said in toasts(pilot), 5)
        assert "Sent 300,000 characters to the terminal's clipboard." in toasts(pilot)
        pid = int((tmp_path / "pid").read_text())
        await until(pilot, lambda: not _alive(pid), 3)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
