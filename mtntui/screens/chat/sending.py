"""From the prompt to the store: what was sent is somewhere on disk at every moment, or back in the prompt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    from mtntui.screens.chat.screen import ChatScreen

_LOOK_SECONDS = 0.01


class Sending:
    """Sends what the prompt offers.

    Args:
        screen: whose prompt it is.
    """

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._early: list[str] = []

    def accept(self, text: str) -> bool:
        """Send what the user wrote; False when it cannot be sent now."""
        screen = self._screen
        if screen.arrived and not self._has_model():
            return False
        if screen.replying.busy:
            self._say_busy()
        elif text.strip():
            if screen.arrived:
                self._begin(text)
            else:
                self._early.append(text)
                screen.desk.drafts.hold("", text)
            return True
        return False

    def send_early(self) -> None:
        """Send what was offered before the store was read."""
        screen, early = self._screen, self._early
        self._early = []
        for text in early:
            screen.desk.drafts.release("", text)
            if screen.desk.model and not screen.replying.busy:
                self._begin(text)
            else:
                screen.prompt.put_back(text)

    async def settle(self) -> None:
        """Wait until all that was sent is stored, and the model was asked for it."""
        await self._screen.prompt.settle()
        while self._screen.desk.drafts.holds_any or self._screen.replying.asking:  # noqa: ASYNC110 - neither knows who waits
            await asyncio.sleep(_LOOK_SECONDS)

    def _has_model(self) -> bool:
        """Whether a model answers; where there is none, one is fetched."""
        screen = self._screen
        try:
            if not screen.desk.model:
                screen.desk.use_model()  # The store may not have been readable before, or another program has just put one in.
            if not screen.desk.model:
                screen.first_model.start()
        except EngineError as error:
            screen.app.say_error(error)
        return bool(screen.desk.model)

    def _say_busy(self) -> None:
        self._screen.app.say("A reply is being written. Esc stops it; your message stays in the prompt.", timeout=3)

    def _begin(self, text: str) -> None:
        screen = self._screen
        identifier = screen.desk.open_id
        screen.clear_selection()  # What a search found is marked as selected text: Ctrl+C shall stop the reply now.
        screen.desk.drafts.hold(identifier, text)
        sending = self._send(text, identifier, screen.desk.model, screen.replying.claim())
        screen.guard(sending, "reply")

    async def _send(self, text: str, identifier: str, model: str, claim: object) -> None:
        """Send a message within the conversation it was written for, though another may be opened meanwhile.

        Args:
            text: the message.
            identifier: the conversation; empty for a new one.
            model: answers.
            claim: on the transcript.
        """
        screen, written_for = self._screen, identifier
        try:
            await screen.desk.show_open()
            if screen.desk.open_id == identifier and not screen.replying.holds(claim):  # Its last reply is still being written.
                self._say_busy()
                screen.desk.give_back(identifier, text)
                return
            identifier = identifier or (await screen.desk.store_new(model, claim)).id
            exchange = await screen.replying.store(identifier, text, model)
        except BaseException:
            screen.desk.give_back(identifier, text)
            screen.replying.release(claim)
            raise
        finally:
            screen.desk.drafts.release(written_for, text)
        screen.desk.moved_on(identifier, exchange.reply.id)
        screen.draft_saving.save()
        try:
            await screen.replying.ask(exchange, claim)
        finally:
            screen.replying.release(claim)
        await screen.desk.note_changes()
