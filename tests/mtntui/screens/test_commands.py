"""Keys, commands and help of the whole program."""

import re
from dataclasses import replace

from mtntui.keymap import complaints, key_name
from mtntui.screens.help import HelpScreen

from .chat_app import chat_app, settings_for, toasts, until


async def test_every_command_has_an_id_a_title_and_a_sentence(home):
    async with chat_app(settings_for(home)) as (pilot, _):
        known = pilot.app.all_commands()
        assert len({command.id for command in known}) == len(known) > 40
        for command in known:
            assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", command.id) and command.title
            assert command.help.endswith("."), command.id


async def test_no_default_key_is_one_that_terminals_and_multiplexers_take(home):
    async with chat_app(settings_for(home)) as (pilot, _):
        taken = {"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+z", "ctrl+i", "ctrl+m"}
        assert not [command.id for command in pilot.app.all_commands() if taken & set(command.keys)]


async def test_f1_lists_every_command_by_its_name(home):
    async with chat_app(settings_for(home)) as (pilot, _):
        await pilot.press("f1")
        assert isinstance(pilot.app.screen, HelpScreen)
        text = str(pilot.app.screen.query_one("Listing").render())
        assert not [command.id for command in pilot.app.all_commands() if command.id not in text]
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, HelpScreen)


async def test_the_users_own_keys_replace_ours_and_unknown_ones_are_named(home):
    settings = replace(settings_for(home), keys={"app.help": "f12", "models.stop": "f11", "chat.sop": "f11"})
    async with chat_app(settings) as (pilot, _):
        assert "chat.sop" in toasts(pilot) and "chat.stop" in toasts(pilot) and "models" not in toasts(pilot)
        await pilot.press("f1")
        assert not isinstance(pilot.app.screen, HelpScreen)
        await pilot.press("f12")
        assert isinstance(pilot.app.screen, HelpScreen)
        assert "F12" in str(pilot.app.screen.query_one("Listing").render())


async def test_the_palette_runs_commands(home):
    async with chat_app(settings_for(home)) as (pilot, _):
        titles = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
        assert len(titles) == len(set(titles)) and {"New", "Search", "Model", "Good", "Theme", "Help"} <= set(titles)
        await pilot.press("ctrl+p")
        await pilot.press("h", "e", "l", "p")
        await pilot.pause(0.3)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen), 5)


async def test_an_unknown_theme_is_named(home):
    settings = settings_for(home)
    async with chat_app(replace(settings, screen=replace(settings.screen, theme="no-such"))) as (pilot, _):
        assert "no-such" in toasts(pilot) and "textual-dark" in toasts(pilot)


def test_complaints_suggest_the_nearest_name():
    assert complaints({"chat.neww": "f2"}, ["chat.new", "app.help"])[0].endswith("Did you mean chat.new?")
    assert complaints({"chat.new": "f2"}, ["chat.new"]) == []


def test_keys_are_named_as_people_write_them():
    assert [key_name(key) for key in ("ctrl+j", "f10", "g", "shift+enter", "question_mark")] == [
        "Ctrl+J",
        "F10",
        "g",
        "Shift+Enter",
        "?",
    ]
