"""A database that is damaged while the program runs is told where the user is, and ends nothing."""

import pytest
from textual.widgets import Static

from engine.store.database import Database
from mtntui.screens.model_picker import ModelPicker

from .chat_app import NARROW, add_conversation, chat_app, settings_for, toasts, type_text, until
from .test_bursts import burst


def damage(screen):
    """Overwrite the whole file behind the program's back, as a broken disk or a stray copy does."""
    database = screen.services.database
    database.query("PRAGMA wal_checkpoint(TRUNCATE)")
    size = database.path.stat().st_size
    with database.path.open("r+b") as file:
        file.write(b"\xa5" * size)
    for side in ("-wal", "-shm"):
        database.path.with_name(database.path.name + side).unlink(missing_ok=True)
    database.close()  # Each thread opens it anew, as after a while.


def said_it(pilot):
    return "damaged" in toasts(pilot) and "mtntui doctor --repair" in toasts(pilot)


@pytest.mark.parametrize("key", ["f2", "f3", "f5", "f6", "f9", "ctrl+n", "enter"])
async def test_a_key_on_a_damaged_database_is_answered_with_a_sentence(model_home, key):
    async with chat_app(settings_for(model_home), size=NARROW) as (pilot, screen):
        made = add_conversation(screen.services.database, "One", "1")
        await screen.desk.open(made.id)
        await type_text(pilot, "precious")
        damage(screen)
        await pilot.press(key)
        if key == "f9":
            await until(pilot, lambda: pilot.app.clipboard == "1", 5)
        else:
            await until(pilot, lambda: said_it(pilot), 5)
        if key == "enter":
            await until(pilot, lambda: screen.prompt.text == "precious", 5)
        assert pilot.app.is_running
        burst(pilot, "!")
        await until(pilot, lambda: "!" in screen.prompt.text, 5)


async def test_the_model_picker_says_that_the_database_is_damaged_and_stays(model_home):
    async with chat_app(settings_for(model_home), size=NARROW) as (pilot, screen):
        damage(screen)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelPicker), 5)
        hint = pilot.app.screen.query_one("#hint", Static)
        await until(pilot, lambda: "damaged" in str(hint.render()) and "doctor --repair" in str(hint.render()), 5)
        await type_text(pilot, "x")
        assert "damaged" in str(hint.render())
        await pilot.press("enter", "escape")
        await until(pilot, lambda: pilot.app.screen is screen, 5)


async def test_choosing_a_model_on_a_database_that_was_damaged_since_is_told(model_home):
    async with chat_app(settings_for(model_home), size=NARROW) as (pilot, screen):
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelPicker), 5)
        damage(screen)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen and said_it(pilot), 5)
        assert pilot.app.is_running


async def test_enter_without_a_model_on_a_damaged_database_is_told(home):
    async with chat_app(settings_for(home), size=NARROW) as (pilot, screen):
        damage(screen)
        await pilot.press("enter")
        await until(pilot, lambda: said_it(pilot), 5)
        assert pilot.app.is_running and not screen.services.pull.running


async def test_a_database_that_is_damaged_when_the_store_is_first_read_keeps_what_is_typed(model_home):
    settings = settings_for(model_home)
    database = Database(settings.workspace.prepare().database)
    add_conversation(database, "One", "1")
    database.query("PRAGMA wal_checkpoint(TRUNCATE)")
    ((root, size),) = database.query(
        "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'conversations'"
    )
    database.close()
    with (model_home / "mtntui.db").open("r+b") as file:  # Only the conversations: it opens.
        file.seek((root - 1) * size)
        file.write(b"\xa5" * size)
    async with chat_app(settings, size=NARROW) as (pilot, screen):
        await until(pilot, lambda: "damaged" in toasts(pilot), 5)
        pilot.app.clear_notifications()
        await type_text(pilot, "hello")
        await pilot.press("enter")
        await until(pilot, lambda: said_it(pilot), 5)
        assert screen.prompt.text == "hello" and not screen.services.pull.running
        await pilot.press("ctrl+q")
        await until(pilot, lambda: pilot.app.return_value == 0, 8)
    assert (model_home / "drafts" / "new.txt").read_text() == "hello"
