"""The chat screen with real parts around it: a workspace of its own, a real inference host, a tiny random model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from textual.pilot import Pilot

from engine.settings import ChatSettings, Settings
from engine.store.conversations import Conversation, Conversations
from engine.store.database import Database
from mtntui.app import MtntuiApp
from mtntui.screens.chat.screen import ChatScreen
from mtntui.services import Services

WIDE, NARROW = (120, 35), (80, 24)


def settings_for(home: Path, **chat: Any) -> Settings:
    """Settings of a workspace; short greedy replies unless the test says otherwise."""
    return Settings(home=str(home), chat=replace(ChatSettings(max_new_tokens=24, temperature=0), **chat))


@asynccontextmanager
async def chat_app(
    settings: Settings, *, size: tuple[int, int] = WIDE, conversation: str | None = None
) -> AsyncIterator[tuple[Pilot[int], ChatScreen]]:
    """The running program with its chat screen in front, the store read; the inference host is ended afterwards."""
    database = Database(settings.workspace.prepare().database)
    app = MtntuiApp(Services(settings, database), conversation)
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            screen = cast(ChatScreen, app.screen)
            await until(pilot, lambda: screen.arrived)
            yield pilot, screen
    finally:
        await app.services.client.shut_down()
        database.close()


async def until(pilot: Pilot[int], holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.02)
    await pilot.pause()


async def type_text(pilot: Pilot[int], text: str) -> None:
    """Type as a person would, key by key."""
    names = {" ": "space", "/": "slash", "-": "minus", ".": "full_stop", "?": "question_mark", "!": "exclamation_mark"}
    await pilot.press(*(names.get(character, character) for character in text))


async def send(pilot: Pilot[int], screen: ChatScreen, text: str, *, wait: bool = True) -> None:
    """Send a message; with `wait`, until its reply has ended."""
    await type_text(pilot, text)
    await pilot.press("enter")
    await until(pilot, lambda: screen.replying.reply is not None)
    if wait:
        await until(pilot, lambda: screen.replying.reply is None and screen.transcript.turns[-1].live is None)


def add_conversation(database: Database, *texts: str, title: str = "", model: str = "tiny") -> Conversation:
    """Put a conversation into the store: what the user and the model said in turn."""
    conversations = Conversations(database)
    conversation = conversations.create(model=model, title=title)
    parent: int | None = None
    for at, text in enumerate(texts):
        if at % 2 == 0:
            parent = conversations.add_user_message(conversation.id, text).id
        else:
            assert parent is not None
            reply = conversations.start_reply(conversation.id, parent=parent, model=model, parameters={})
            conversations.finish_reply(reply.id, text, "complete", prompt_tokens=20, completion_tokens=10)
    return conversations.get(conversation.id)


def toasts(pilot: Pilot[int]) -> str:
    """All that the program says at the moment."""
    return "\n".join(notification.message for notification in pilot.app._notifications)


def live_text(screen: ChatScreen) -> str:
    """What the reply in progress shows so far; empty when none is shown."""
    turns = screen.transcript.turns
    return turns[-1].live.text if turns and turns[-1].live is not None else ""
