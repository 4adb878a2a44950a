"""A reply in progress inside the inference host: its text so far, who listens, and its growth in the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.errors import EngineError, StorageError
from engine.inference.types import Event, Finished, FinishReason, TextDelta, Waiting

if TYPE_CHECKING:
    from engine.store.conversations import Conversations, Status

_STATUS: dict[FinishReason, Status] = {
    "eos": "complete",
    "stop": "complete",
    "length": "cut",
    "context": "cut",
    "cancelled": "stopped",
}

# A killed process loses at most what came since; the promise is a second.
_BETWEEN_SAVES = 0.5

_BETWEEN_RETRIES = 5.0


class Broadcast:
    """Collects a reply's events for any number of listeners, and writes a stored reply's text as it grows.

    Lives in the event loop's thread.

    Args:
        reply: the stored message, or None to keep nothing.
        conversations: where the message is.
    """

    def __init__(self, reply: int | None, conversations: Conversations) -> None:
        self.reply = reply
        self._conversations = conversations
        self._text = ""
        self._tokens = 0
        self._said: Event | None = None
        self._end: Event | EngineError | None = None
        self._listeners: set[asyncio.Queue[Event | EngineError]] = set()
        self._saver: asyncio.Task[None] | None = None
        self._conclusion: asyncio.Task[None] | None = None
        self.over = asyncio.Event()

    def begin(self) -> None:
        """Start writing growth to the store."""
        if self.reply is not None:
            self._saver = asyncio.create_task(self._save_growth(self.reply))

    def take(self, event: Event) -> None:
        """Add an event from the model."""
        if isinstance(event, TextDelta):
            self._text += event.text
            self._tokens = event.completion_tokens
            self._publish(event)
        elif isinstance(event, Finished):
            self._finish(event)
        else:
            self._said = event
            self._publish(event)

    def fail(self, error: EngineError) -> None:
        """End with an error; what was generated is kept."""
        self._finish(error)

    async def listen(self) -> AsyncIterator[Event]:
        """What was said so far in one piece, then the rest as it comes; raises when the reply failed."""
        listener: asyncio.Queue[Event | EngineError] = asyncio.Queue()
        if self._said is not None:
            listener.put_nowait(self._said)
        if self._text:
            listener.put_nowait(TextDelta(self._text, self._tokens))
        if self._end is not None:
            listener.put_nowait(self._end)
        self._listeners.add(listener)
        try:
            while True:
                event = await listener.get()
                if isinstance(event, EngineError):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            self._listeners.discard(listener)

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def _publish(self, event: Event | EngineError) -> None:
        for listener in self._listeners:
            listener.put_nowait(event)

    def _finish(self, end: Finished | EngineError) -> None:
        self._conclusion = asyncio.create_task(self._conclude(end))

    async def _conclude(self, end: Finished | EngineError) -> None:
        """Store the end first: nothing is shown as done that a crash could lose."""
        if self._saver is not None:
            self._saver.cancel()
        while (trouble := await asyncio.to_thread(self._store, end)) is not None:
            self._publish(Waiting(f"saving the reply: {trouble.message} {trouble.hint}"))
            await asyncio.sleep(_BETWEEN_RETRIES)
        self._end = end
        self._publish(end)
        self.over.set()

    def _store(self, end: Finished | EngineError) -> StorageError | None:
        """Store the end; what is wrong with the disk, if anything is: that can be mended while this waits."""
        if self.reply is None:
            return None
        try:
            if isinstance(end, EngineError):
                self._conversations.finish_reply(self.reply, self._text, "failed", error=str(end))
            else:
                self._conversations.finish_reply(
                    self.reply,
                    end.text,
                    _STATUS[end.reason],
                    prompt_tokens=end.prompt_tokens,
                    completion_tokens=end.completion_tokens,
                    first_token_ms=end.first_token_ms,
                    tokens_per_second=end.tokens_per_second,
                )
        except StorageError as error:
            return error
        return None

    async def _save_growth(self, reply: int) -> None:
        await asyncio.to_thread(self._claim, reply)
        saved = ""
        while True:
            await asyncio.sleep(_BETWEEN_SAVES)
            if self._text != saved:
                saved = self._text
                # A full disk shows at the reply's end, where saving is tried until it works; meanwhile the text is here.
                await asyncio.to_thread(self._grow, reply, saved)

    def _claim(self, reply: int) -> None:
        with suppress(EngineError):  # storing the reply's growth says the same, and is tried again and again
            self._conversations.claim_reply(reply)

    def _grow(self, reply: int, text: str) -> None:
        with suppress(EngineError):
            self._conversations.grow_reply(reply, text)
