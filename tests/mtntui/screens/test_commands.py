"""Keys, commands and help of the whole program."""

import re
from dataclasses import replace

import pytest

from mtntui.app import MtntuiApp
from mtntui.keymap import commands, complaints, key_name
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
    assert complained({"chat.neww": "f20"})[0].endswith("gives a key to chat.neww, which does not exist. Did you mean chat.new?")
    assert complained({"chat.new": "f20"}) == []


def complained(keys: dict[str, str]) -> list[str]:
    return complaints(keys, commands(MtntuiApp.command_sources(), keys), "config.toml")


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("ctrl+banana", "Keys are written as in"),
        ("F20", "Did you mean f20?"),
        (" f20", "Did you mean f20?"),
        ("?", "Did you mean question_mark?"),
        ("", "Keys are written as in"),
        ("control+x", "Keys are written as in"),
    ],
)
def test_complaints_name_a_key_that_no_keyboard_has(key, advice):
    (said,) = complained({"chat.stop": f"escape,{key}"})
    assert said.startswith(f"config.toml gives chat.stop the key {key!r}, which does not exist.") and advice in said


@pytest.mark.parametrize("key", ["f20", "ctrl+shift+up", "alt+ö", "ctrl+question_mark", "shift+f5", "ctrl+slash", "alt+pagedown"])
def test_keys_that_exist_are_not_complained_about(key):
    assert complained({"chat.stop": key}) == []


def test_complaints_name_the_other_command_that_has_the_key():
    assert complained({"prompt.send": "f9"}) == ["config.toml gives prompt.send the key f9, which chat.copy has as well."]
    assert complained({"chat.new": "ctrl+q"}) == ["config.toml gives chat.new the key ctrl+q, which app.quit has as well."]
    assert complained({"prompt.send": "f9", "chat.copy": "f20"}) == [], "the other one moved away"
    own = {entry.id: ",".join(entry.keys) for entry in commands(MtntuiApp.command_sources(), {})}
    assert complained(own) == [], "nobody is told off for writing down the keys as they are"


def test_keys_are_named_as_people_write_them():
    assert [key_name(key) for key in ("ctrl+j", "f10", "g", "shift+enter", "question_mark")] == [
        "Ctrl+J",
        "F10",
        "g",
        "Shift+Enter",
        "?",
    ]
