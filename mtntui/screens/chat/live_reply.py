"""A reply on its way: from the events of its generation to the turn that shows it and the status line."""

from __future__ import annotations

from time import monotonic

from engine.inference.types import Event, Finished, Started, TextDelta, Waiting
from mtntui.widgets.notice import Notice
from mtntui.widgets.status_line import StatusLine
from mtntui.widgets.transcript import Transcript
from mtntui.widgets.turn import Turn

_STATUS_SECONDS = 0.5
"""Numbers that change faster cannot be read, and each change costs bytes."""


class LiveReply:
    """Shows one reply while it grows.

    Args:
        reply: its id.
        turn: shows the text.
        transcript: holds the turn.
        status: shows what goes on and how fast.
    """

    def __init__(self, reply: int, turn: Turn, transcript: Transcript, status: StatusLine) -> None:
        self.reply = reply
        self.stop_wanted = False
        self.turn = turn
        self._transcript = transcript
        self._status = status
        self._prompt_tokens = 0
        self._first: tuple[float, int] | None = None
        self._shown_at = 0.0

    async def take(self, event: Event) -> None:
        """Show what one event says."""
        match event:
            case Waiting():
                self._status.set(state=f"{event.reason}…" if event.reason else "waiting…", busy=True)
            case Started():
                await self._started(event)
            case TextDelta():
                self._grown(event)
            case Finished():
                self._status.set(
                    state="",
                    busy=False,
                    first_token_ms=event.first_token_ms,
                    tokens_per_second=event.tokens_per_second or None,
                    context_used=event.prompt_tokens + event.completion_tokens,
                )

    async def _started(self, event: Started) -> None:
        self._prompt_tokens = event.prompt_tokens
        state = "reading the prompt…"
        self._status.set(state=state, busy=True, context_used=event.prompt_tokens, context_length=event.context_length)
        if event.dropped_messages:
            count = event.dropped_messages
            what = f"The oldest {count} messages no longer fit" if count > 1 else "The oldest message no longer fits"
            notice = Notice(f"{what} into the model's context and {'were' if count > 1 else 'was'} left out.")
            await self._transcript.mount(notice, before=self.turn)

    def _grown(self, event: TextDelta) -> None:
        live, now = self.turn.live, monotonic()
        if live is not None:
            self._transcript.hold_or_release()
            live.append_text(event.text)
        if self._first is None:
            self._first = now, event.completion_tokens
        if now - self._shown_at < _STATUS_SECONDS:
            return
        self._shown_at = now
        began, tokens = self._first
        seconds = now - began
        rate = (event.completion_tokens - tokens) / seconds if seconds > _STATUS_SECONDS else None
        used = self._prompt_tokens + event.completion_tokens if self._prompt_tokens else None
        self._status.set(state="writing…", busy=True, tokens_per_second=rate, context_used=used)
