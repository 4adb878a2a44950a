"""Keys that come in one burst, and hosts that do not answer: what was typed arrives once, where it belongs, and nothing ends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any, cast

import pytest
from textual import events
from textual.widgets import Input

from engine.errors import StorageError
from engine.store.conversations import StoredMessage
from engine.store.database import Database
from mtntui.app import MtntuiApp
from mtntui.screens.chat.screen import ChatScreen
from mtntui.screens.rename import RenameScreen
from mtntui.services import Services
from mtntui.widgets.conversation_list import ConversationList
from mtntui.widgets.message import AssistantMessage, UserMessage

from .chat_app import NARROW, WIDE, add_conversation, chat_app, live_text, send, settings_for, toasts, until


def burst(pilot: Any, *keys: str) -> None:
    """Keys as a terminal delivers them in one read: the program has no turn between them."""
    for key in keys:
        pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))


def said(screen: ChatScreen) -> list[list[str]]:
    """What the user said in each conversation of the store."""
    conversations = screen.services.conversations
    return [
        [message.content for message in conversations.messages(one.id) if message.role == "user"]
        for one in conversations.browse()
    ]


def statuses(screen: ChatScreen) -> list[str]:
    """How each message in the store ended."""
    conversations = screen.services.conversations
    return [message.status for one in conversations.browse() for message in conversations.messages(one.id)]


async def test_two_messages_in_one_burst_make_one_conversation_and_lose_nothing(long_home):
    async with chat_app(settings_for(long_home, max_new_tokens=16000)) as (pilot, screen):
        burst(pilot, "a", "enter", "b", "enter")
        await until(pilot, lambda: bool(live_text(screen)))
        assert said(screen) == [["a"]]
        assert screen.prompt.text == "b"
        screen.stop_reply()
        await until(pilot, lambda: screen.replying.reply is None)


async def test_a_message_is_stored_where_it_was_sent_though_another_conversation_is_opened_at_once(long_home):
    async with chat_app(settings_for(long_home)) as (pilot, screen):
        old = add_conversation(screen.services.database, "one", "1")
        for at, pause in enumerate((0, 0.004, 0.015)):
            for first in (old.id, ""):
                await (screen.desk.open(first) if first else screen.desk.open_new())
                text = f"{at} {first[:1]}"
                screen.prompt.put(text)
                screen.prompt._offer()
                await asyncio.sleep(pause)
                screen.action_new()
                await until(pilot, lambda text=text: any(text in one for one in said(screen)))
                await asyncio.sleep(0.3)
                assert screen.desk.conversation is None and screen.prompt.text == ""
                assert not screen.query(UserMessage), pause
                assert not screen.replying.busy
                await until(pilot, lambda: "streaming" not in statuses(screen))
                where = next(one for one in said(screen) if text in one)
                assert (where[0] == "one") is bool(first)
        assert len(said(screen)) == 4
        assert set(statuses(screen)) == {"complete", "cut"}


async def test_opening_a_conversation_twice_in_a_row_shows_it(model_home):
    async with chat_app(settings_for(model_home)) as (_, screen):
        one = add_conversation(screen.services.database, *["one", "1"] * 20)
        two = add_conversation(screen.services.database, "two", "2")
        await screen.desk.open(two.id)
        for pause in (0, 0.002, 0.005, 0.02):
            screen.list.post_message(ConversationList.Opened(one.id))
            await asyncio.sleep(pause)
            screen.list.post_message(ConversationList.Opened(one.id))
            await asyncio.sleep(1)
            assert [turn.stored.content for turn in screen.transcript.turns][-2:] == ["one", "1"], pause
            await screen.desk.open(two.id)


async def test_a_search_does_not_break_off_showing_what_another_program_wrote(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        one = add_conversation(screen.services.database, *["one", "1"] * 20)
        await screen.desk.open(one.id)
        for pause in (0.005, 0.015, 0.03, 0.06):
            text = f"more after {pause}"
            screen.services.conversations.add_user_message(one.id, text)
            screen._watch._version = -1  # As when another program wrote.
            screen._poll()
            await asyncio.sleep(pause)
            screen.list.post_message(ConversationList.Searched(""))
            await until(pilot, lambda text=text: [turn.stored.content for turn in screen.transcript.turns][-1:] == [text], 3)


@pytest.mark.parametrize(("key", "size"), [("ctrl+l", NARROW), ("ctrl+f", NARROW), ("ctrl+f", WIDE)])
async def test_the_list_and_the_search_can_be_asked_for_before_the_store_was_read(model_home, key, size):
    database = Database(settings_for(model_home).workspace.prepare().database)
    app = MtntuiApp(Services(settings_for(model_home), database))
    async with app.run_test(size=size) as pilot:
        screen = cast(ChatScreen, app.screen)
        assert not screen.arrived
        burst(pilot, key)
        await until(pilot, lambda: screen.arrived)
        await until(pilot, lambda: screen.list.has_focus_within, 3)
    database.close()


async def test_ratings_in_one_burst_end_with_the_last(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        one = add_conversation(screen.services.database, "Hi", "Hello")
        await screen.desk.open(one.id)
        burst(pilot, "f6", "f7", "f6", "f7", "f6")
        await asyncio.sleep(1.5)
        assert screen.services.conversations.message(one.head).rating == "good"
        assert [message.rating for message in screen.query(AssistantMessage)] == ["good"]


async def test_what_is_typed_right_after_a_command_lands_where_the_command_leads(model_home):
    async with chat_app(settings_for(model_home), size=NARROW) as (pilot, screen):
        made = add_conversation(screen.services.database, "One", "1")
        await screen.desk.open(made.id)
        await screen.desk.fill_list()
        burst(pilot, "ctrl+l", "ctrl+n", *"rd", "ctrl+up", "ctrl+n", *"gx")
        await until(pilot, lambda: screen.prompt.text == "rdgx", 3)
        assert screen.services.conversations.get(made.id).title == "One" and pilot.app.screen is screen
        burst(pilot, "ctrl+f", *"one", "ctrl+n", "!")
        await until(pilot, lambda: screen.prompt.text == "rdgx!", 3)
        assert screen.list.query_one(Input).value == "one"


@pytest.mark.parametrize(
    "keys", [("f2", "f2"), ("ctrl+o", "ctrl+o"), ("f8", "f8"), ("ctrl+o", "f2", "f8"), ("f1", "f1"), ("ctrl+p",) * 2]
)
async def test_keys_of_dialogs_in_one_burst_open_one_dialog(model_home, keys):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        made = add_conversation(screen.services.database, "One", "1")
        await screen.desk.open(made.id)
        burst(pilot, *keys)
        await until(pilot, lambda: len(pilot.app.screen_stack) > 1, 3)
        await asyncio.sleep(0.5)
        assert len(pilot.app.screen_stack) == 2
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen, 3)
        burst(pilot, "f2")
        await until(pilot, lambda: isinstance(pilot.app.screen, RenameScreen), 3)


async def test_a_store_that_cannot_be_read_while_paging_is_told(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        long = add_conversation(screen.services.database, *["word " * 60, "answer " * 60] * 60)
        await screen.desk.open(long.id)

        async def broken(before: int | None, limit: int) -> list[StoredMessage]:
            raise StorageError("The database cannot be read.", "Look at the disk.")

        screen.transcript._load = broken
        await until(pilot, lambda: screen.transcript.max_scroll_y > 0 and screen.transcript.follows)
        screen.transcript.scroll_to(y=5, animate=False)
        await until(pilot, lambda: "cannot be read" in toasts(pilot), 3)
        assert pilot.app.is_running and not screen.transcript.paging


async def test_a_host_that_does_not_answer_leaves_the_keys_alive(long_home):
    async with chat_app(settings_for(long_home, max_new_tokens=16000)) as (pilot, screen):
        await send(pilot, screen, "Go on", wait=False)
        await until(pilot, lambda: bool(live_text(screen)))
        host = (await screen.services.client.status()).pid
        os.kill(host, signal.SIGSTOP)
        try:
            for key in ("escape", "ctrl+c"):
                began = time.monotonic()
                burst(pilot, key, "x")
                await until(pilot, lambda: screen.prompt.text != "", 3)
                assert time.monotonic() - began < 3
                screen.prompt.put("")
        finally:
            os.kill(host, signal.SIGCONT)
        await until(pilot, lambda: screen.replying.reply is None)


async def test_a_host_that_dies_while_it_is_asked_to_stop_ends_nothing(long_home):
    async with chat_app(settings_for(long_home, max_new_tokens=16000)) as (pilot, screen):
        await send(pilot, screen, "Go on", wait=False)
        await until(pilot, lambda: bool(live_text(screen)))
        host = (await screen.services.client.status()).pid
        os.kill(host, signal.SIGSTOP)
        burst(pilot, "escape")
        await asyncio.sleep(0.5)
        os.kill(host, signal.SIGKILL)
        await until(pilot, lambda: screen.replying.reply is None)
        assert pilot.app.is_running and "unexpected" not in toasts(pilot)
