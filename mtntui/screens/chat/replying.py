"""Sending, following, stopping and repeating: everything that has to do with a reply in progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from engine.errors import EngineError, NotFoundError, PromptTooLongError
from engine.store.conversations import Conversation, StoredMessage
from mtntui.services import Services
from mtntui.widgets.notice import Notice
from mtntui.widgets.prompt import Prompt
from mtntui.widgets.status_line import StatusLine
from mtntui.widgets.transcript import Transcript

if TYPE_CHECKING:
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
        self._starting: dict[int, LiveReply] = {}  # Asked for, and no event of them has come yet.

    @property
    def reply(self) -> int | None:
        """The reply that is followed; None when none is."""
        return self._live.reply if self._live is not None else None

    @property
    def _parameters(self) -> SamplingParameters:
        from engine.chat.session import parameters_from

        return parameters_from(self._services.settings.chat)

    async def send(self, conversation: Conversation, text: str, model: str) -> None:
        """Store what the user wrote, show it, and follow the reply to its end.

        Raises:
            EngineError: it could not be stored; the text is back in the prompt.
        """
        try:
            exchange = await asyncio.to_thread(
                self._services.chat.send, conversation.id, text, model=model, parameters=self._parameters
            )
        except BaseException:
            self._prompt.put_back(text)
            raise
        await self._transcript.add(exchange.user, exchange.reply)
        await self.follow(exchange.reply, self._services.chat.stream(exchange.reply), text)

    async def again(self, reply: int, model: str) -> None:
        """Ask for another reply to the message that `reply` answered; the earlier one stays in the store as a branch."""
        chat = self._services.chat
        exchange = await asyncio.to_thread(chat.retry, reply, model=model, parameters=self._parameters)
        await self._transcript.cut_after(exchange.user.id)
        await self._transcript.add(exchange.reply)
        await self.follow(exchange.reply, chat.stream(exchange.reply))

    async def resume(self, reply: StoredMessage) -> None:
        """Join a reply that another terminal, or this one before it was closed, asked for."""
        if (live := self._starting.get(reply.id)) is not None and (turn := self._transcript.turn(reply.id)) is not None:
            live.turn = turn  # Its request is still on the way to the host, which could not tell us anything yet.
            self._begin(live)
        else:
            await self.follow(reply, self._services.chat.resume(reply.id))

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
        if self._live is not None:
            self._live = None
            self._status.set(state="", busy=False)
            self._changed()

    async def follow(self, reply: StoredMessage, events: AsyncGenerator[Event], sent: str = "") -> None:
        """Show a reply's events until it ends or is left.

        Args:
            reply: as `Chat` prepared it; the transcript shows it.
            events: its generation's.
            sent: what the user wrote, to be given back if it does not fit into the model's context.
        """
        from mtntui.screens.chat.live_reply import LiveReply

        turn = self._transcript.turn(reply.id)
        if turn is None:
            return
        live = LiveReply(reply.id, turn, self._transcript, self._status)
        self._starting[reply.id] = live
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
            await live.turn.show(stored)
            if problem is not None:
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
        self._live = live
        self._status.set(state="waiting…", busy=True, first_token_ms=None, tokens_per_second=None)
        self._changed()
