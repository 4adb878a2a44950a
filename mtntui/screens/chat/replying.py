"""Sending, following, stopping and repeating: everything that has to do with a reply in progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from engine.errors import EngineError, NotFoundError, PromptTooLongError
from engine.store.conversations import StoredMessage
from mtntui.services import Services
from mtntui.widgets.notice import Notice
from mtntui.widgets.prompt import Prompt
from mtntui.widgets.status_line import StatusLine
from mtntui.widgets.transcript import Transcript
from mtntui.widgets.turn import Turn

if TYPE_CHECKING:
    from engine.chat.session import Exchange
    from engine.inference.types import Event, SamplingParameters
    from mtntui.screens.chat.live_reply import LiveReply


class Replying:
    """The one reply that a chat screen follows at a time.

    Args:
        services: the engine's parts.
        transcript, prompt, status: the widgets that show it.
        changed: called when a reply begins or ends.
    """

    def __init__(
        self, services: Services, transcript: Transcript, prompt: Prompt, status: StatusLine, changed: Callable[[], None]
    ) -> None:
        self._services = services
        self._transcript = transcript
        self._prompt = prompt
        self._status = status
        self._changed = changed
        self._live: LiveReply | None = None
        self._claim: object | None = None
        self._starting: dict[int, LiveReply] = {}  # Asked for, and no event of them has come yet.

    @property
    def reply(self) -> int | None:
        """The reply that is followed; None when none is."""
        return self._live.reply if self._live is not None else None

    @property
    def busy(self) -> bool:
        """Whether a reply is followed, or about to be asked for."""
        return self._live is not None or self._claim is not None

    @property
    def asking(self) -> bool:
        """Whether a reply is about to be asked for, or was and nothing is known of it yet."""
        return self._claim is not None or bool(self._starting)

    def claim(self) -> object:
        """Take the transcript for a reply that is about to be asked for; opening another conversation takes it back."""
        self._claim = object()
        return self._claim

    def holds(self, claim: object) -> bool:
        """Whether the transcript still waits for the reply of this claim."""
        return self._claim is claim

    def release(self, claim: object) -> None:
        """Give up a claim, if it still holds."""
        if self._claim is claim:
            self._claim = None

    @property
    def _parameters(self) -> SamplingParameters:
        from engine.chat.session import parameters_from

        return parameters_from(self._services.settings.chat)

    async def store(self, conversation: str, text: str, model: str) -> Exchange:
        """Store what the user wrote, and a place for the reply.

        Raises:
            EngineError: it could not be stored.
        """
        return await asyncio.to_thread(self._services.chat.send, conversation, text, model=model, parameters=self._parameters)

    async def ask(self, exchange: Exchange, claim: object) -> None:
        """Ask for the reply to what was stored; show both and follow the reply to its end while the claim holds."""
        if self.holds(claim):
            await self._transcript.add(exchange.user, exchange.reply)
        await self.follow(exchange.reply, self._services.chat.stream(exchange.reply), exchange.user.content, claim=claim)

    async def again(self, reply: int, model: str, claim: object) -> None:
        """Ask for another reply to the message that `reply` answered; the earlier one stays in the store as a branch."""
        chat = self._services.chat
        exchange = await asyncio.to_thread(chat.retry, reply, model=model, parameters=self._parameters)
        if self.holds(claim):
            await self._transcript.cut_after(exchange.user.id)
        if self.holds(claim):
            await self._transcript.add(exchange.reply)
        await self.follow(exchange.reply, chat.stream(exchange.reply), claim=claim)

    async def resume(self, reply: StoredMessage, claim: object) -> None:
        """Join a reply that another terminal, or this one before it was closed, asked for."""
        if not self.holds(claim):
            return
        try:
            await self._join(reply, claim)
        finally:
            self.release(claim)

    async def _join(self, reply: StoredMessage, claim: object) -> None:
        if (live := self._starting.get(reply.id)) is not None and (turn := self._transcript.turn(reply.id)) is not None:
            live.turn = turn  # Its request is still on the way to the host, which could not tell us anything yet.
            self._begin(live)
        else:
            await self.follow(reply, self._services.chat.resume(reply.id), claim=claim)

    async def stop(self) -> bool:
        """Stop the reply in progress; what exists of it is kept. False when there is none."""
        live = self._live
        if live is None:
            return False
        self._status.set(state="stopping…")
        live.stop_wanted = live.reply in self._starting
        await self._services.chat.stop(live.reply)
        return True

    def leave(self) -> None:
        """Another conversation is opened: the reply goes on in the inference host, unseen."""
        self._claim = None
        if self._live is not None:
            self._live = None
            self._status.set(state="", busy=False)
            self._changed()

    async def follow(self, reply: StoredMessage, events: AsyncGenerator[Event], sent: str = "", *, claim: object) -> None:
        """Show a reply's events until it ends or is left; one that was left already is only asked for.

        Args:
            reply: as `Chat` prepared it; the transcript shows it.
            events: its generation's.
            sent: what the user wrote, to be given back if it does not fit into the model's context.
            claim: what holds the transcript for it.
        """
        from mtntui.screens.chat.live_reply import LiveReply

        turn = self._transcript.turn(reply.id)
        live = LiveReply(reply.id, turn or Turn(reply), self._transcript, self._status)
        self._starting[reply.id] = live
        if turn is not None and self.holds(claim):
            self._begin(live)
        problem: EngineError | None = None
        try:
            async with aclosing(events):
                await self._listen(live, events)
        except NotFoundError:  # Nobody writes it any more, or it has just ended: the store says how far it came.
            pass
        except EngineError as error:
            problem = error
        finally:
            self._starting.pop(reply.id, None)
        if self._live is live:
            self.leave()
            stored = await asyncio.to_thread(self._services.conversations.message, reply.id)
            if live.turn.is_attached:
                await live.turn.show(stored)
            if problem is not None and live.turn.is_attached:
                await self._explain(problem, stored, sent)

    async def _listen(self, live: LiveReply, events: AsyncGenerator[Event]) -> None:
        async for event in events:
            self._starting.pop(live.reply, None)
            if live.stop_wanted:  # The host did not know the reply yet when the user asked.
                live.stop_wanted = False
                await self._services.chat.stop(live.reply)
            if self._live is not live:
                return
            await live.take(event)

    async def _explain(self, problem: EngineError, stored: StoredMessage, sent: str) -> None:
        if isinstance(problem, PromptTooLongError) and sent:
            self._prompt.put_back(sent)
        if problem.message not in stored.error:
            await self._transcript.mount(Notice(problem.message, problem.hint, kind="error"))

    def _begin(self, live: LiveReply) -> None:
        self._live, self._claim = live, None
        self._status.set(state="waiting…", busy=True, first_token_ms=None, tokens_per_second=None)
        self._changed()
