"""What the user thinks of a reply: good, bad, or what it should have been; and taking it along."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from engine.store.conversations import Rating
from mtntui.widgets.turn import Turn

if TYPE_CHECKING:
    from mtntui.screens.chat.screen import ChatScreen


class Opinions:
    """Acts on the selected reply, or on the last one.

    Args:
        screen: whose transcript it is.
    """

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._one_at_a_time = asyncio.Lock()

    async def last_reply(self) -> Turn | None:
        """The conversation's last reply, also when the reader is so far above it that it must be fetched first."""
        await self._screen.transcript.come_to_end()
        return next((turn for turn in reversed(self._screen.transcript.turns) if turn.is_reply), None)

    async def target(self) -> Turn | None:
        """The selected reply while the transcript has the focus, else the last one; says so when there is none."""
        transcript = self._screen.transcript
        chosen = transcript.selected if transcript.has_focus else None
        if chosen is not None and not chosen.is_reply:
            self._screen.app.say("This is your own message: select a reply.", severity="warning")
            return None
        turn = chosen or await self.last_reply()
        if turn is None:
            self._screen.app.say("There is no reply yet.", severity="warning")
        return turn

    async def rate(self, rating: Literal["good", "bad", ""]) -> None:
        """Record a rating; the one that the reply has already, or an empty one, takes it back."""
        async with self._one_at_a_time:
            if (turn := await self.target()) is not None:
                back = not rating or turn.stored.rating == rating
                await self._record(turn, None if back else rating or None)
                self._screen.app.say("The rating was taken back." if back else f"Marked as {rating}.", timeout=2)

    async def correct(self) -> None:
        """Let the user write what the reply should have been. Leaving the editor records nothing."""
        from mtntui.screens.correction import CorrectionScreen

        if (turn := await self.target()) is None:
            return
        stored = turn.stored
        if stored.status == "streaming":
            self._screen.app.say("Only a finished reply can be corrected. Wait until it ends, or stop it.", severity="warning")
            return
        correction = await self._screen.app.push_screen_wait(CorrectionScreen(stored.correction or stored.content))
        if correction is not None:
            await self._record(turn, "bad", correction)
            self._screen.app.say("The correction is kept, and the reply marked as bad.", timeout=3)

    async def _record(self, turn: Turn, rating: Rating | None, correction: str | None = None) -> None:
        rate = self._screen.services.conversations.rate
        stored = await asyncio.to_thread(rate, turn.stored.id, rating, correction=correction)
        if turn.is_attached:
            await turn.show(stored)

    async def copy(self) -> None:
        """Copy the selected message, or the last reply, as it was written."""
        transcript = self._screen.transcript
        turn = transcript.selected if transcript.has_focus and transcript.selected is not None else await self.target()
        if turn is not None:
            live = turn.live
            self._screen.app.copy_to_clipboard(live.text if live is not None else turn.stored.content)
