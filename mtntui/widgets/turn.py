"""One message of the transcript: what was said, how it ended, and what the user thought of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import constants
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget

from engine.store.conversations import StoredMessage
from mtntui.widgets.notice import Notice
from mtntui.widgets.one_layout import OneLayout

if TYPE_CHECKING:
    from mtntui.widgets.message import StreamingMessage

_SLOW_LINE_FPS = 15
"""Textual's frame rate at or below which the line is taken to be slow; replies then grow four times a second."""

_AGAIN = "F5 asks again"


class Turn(OneLayout, Vertical):
    """A message as the store has it; a reply may be streaming.

    Args:
        stored: the message.
    """

    DEFAULT_CSS = """
    Turn {
        height: auto;
        max-width: 100;
        padding: 0 1 0 0;
        border-left: blank;
    }
    """

    def __init__(self, stored: StoredMessage) -> None:
        super().__init__()
        self.stored = stored
        self.live: StreamingMessage | None = None

    @property
    def is_reply(self) -> bool:
        """Whether a model said it."""
        return self.stored.role == "assistant"

    def compose(self) -> ComposeResult:
        """The message, and below it what the program has to say about its end."""
        if self.stored.status == "streaming":
            from mtntui.widgets.message import StreamingMessage

            rate = 4.0 if constants.MAX_FPS <= _SLOW_LINE_FPS else 16.0  # as it comes: the host sends twelve pieces a second
            self.live = StreamingMessage(self.stored.id, model=self.stored.model, rate=rate)
            yield self.live
        else:
            yield from _parts(self.stored)

    async def show(self, stored: StoredMessage) -> None:
        """Show the message as it is now: the end of its streaming, a rating.

        Streamed and finished text take the same rows, and the exchange happens between two paints: nothing jumps.
        """
        self.stored = stored
        with self.app.batch_update():
            await self.remove_children()
            self.live = None
            await self.mount_all(_parts(stored))


def _parts(stored: StoredMessage) -> list[Widget]:
    from mtntui.widgets.message import AssistantMessage, UserMessage

    if stored.role == "user":
        return [UserMessage(stored.id, stored.content)]
    detail = {"failed": f"{stored.error} {_AGAIN}.".strip(), "interrupted": f"{_AGAIN}."}.get(stored.status, "")
    rating = "corrected" if stored.correction else stored.rating
    parts: list[Widget] = [
        AssistantMessage(stored.id, stored.content, model=stored.model, status=stored.status, rating=rating, detail=detail)
    ]
    if stored.correction:
        parts.append(Notice("Your correction", stored.correction))
    return parts
