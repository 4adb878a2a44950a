"""An answer on its way to standard output."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from engine.inference.types import (
    Event,
    Finished,
    GenerationRequest,
    Message,
    SamplingParameters,
    Started,
    TextDelta,
    Waiting,
)
from mtntui.cli.output import note, print_json
from mtntui.terminal_text import TerminalWriter

if TYPE_CHECKING:
    from engine.store.conversations import Conversation, StoredMessage
    from mtntui.services import Services

EXIT_CUT = 3
EXIT_STOPPED = 130

_PATIENCE = 1.0  # seconds; stopping takes a few hundredths
_LEAVING = 3.0  # seconds to see a reply stopped that nobody reads; it was asked for at once

_STATUS = {"eos": "complete", "stop": "complete", "length": "cut", "context": "cut", "cancelled": "stopped"}
_EXIT = {"complete": 0, "cut": EXIT_CUT, "stopped": EXIT_STOPPED}


class Answer:
    """Asks one question and writes what comes back.

    Args:
        services: the engine's parts.
        as_json: whether one object is written at the end, instead of the text as it comes.
    """

    def __init__(self, services: Services, *, as_json: bool) -> None:
        self._services = services
        self._as_json = as_json
        self._writer = TerminalWriter(sys.stdout)
        self._text = ""
        self._started: Started | None = None
        self._finished: Finished | None = None
        self._stopping: asyncio.Task[None] | None = None

    def logged(self, question: str, *, conversation: Conversation, model: str, parameters: SamplingParameters) -> int:
        """Ask within a conversation; question and answer are kept. Returns the exit status."""
        chat = self._services.chat
        exchange = chat.send(conversation.id, question, model=model, parameters=parameters)
        asyncio.run(self._follow(chat.stream(exchange.reply), lambda: chat.stop(exchange.reply.id)))
        return self._conclude(model, exchange.user, exchange.reply)

    def unlogged(self, question: str, *, model: str, system: str, parameters: SamplingParameters) -> int:
        """Ask and keep nothing. Returns the exit status."""
        opening = [Message("system", system)] if system else []
        request = GenerationRequest(model, [*opening, Message("user", question)], parameters)
        asyncio.run(self._follow(self._services.client.stream(request), None))
        return self._conclude(model, None, None)

    async def _follow(self, events: AsyncIterator[Event], stop: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        """Write the answer as it comes.

        Args:
            stop: ends a stored reply, whose `Finished` then still comes; None where it is enough to look away.
        """
        follower = asyncio.ensure_future(self._write(events))

        def interrupted() -> None:
            if stop is None or self._stopping is not None:
                follower.cancel()  # also at the second Ctrl+C: the host does not answer, so leave
            else:
                self._stopping = asyncio.ensure_future(stop())
                loop.call_later(_PATIENCE, self._hint)

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupted)
        try:
            await follower
        except asyncio.CancelledError:
            pass
        except BrokenPipeError:  # nobody reads any more, as after `| head`
            if stop is not None:
                self._stopping = self._stopping or asyncio.ensure_future(stop())
                await asyncio.wait({self._stopping}, timeout=_LEAVING)
            raise
        finally:
            if self._stopping is not None:
                # What it would still wait for is over, or was given up; how it ends adds nothing to how the answer ended.
                self._stopping.cancel()
                await asyncio.gather(self._stopping, return_exceptions=True)
            if not self._as_json:
                self._end_line()

    async def _write(self, events: AsyncIterator[Event]) -> None:
        async with aclosing(events) as following:  # type: ignore[type-var]
            async for event in following:
                match event:
                    case Waiting():
                        self._remark(event.reason)
                    case Started():
                        self._started = event
                    case TextDelta():
                        self._text += event.text
                        if not self._as_json:
                            self._writer.write(event.text)
                    case Finished():
                        self._finished = event

    def _hint(self) -> None:
        """Say how to leave when the host takes its time to stop."""
        if self._finished is None:
            self._remark("\nThe inference host has not stopped yet; Ctrl+C again leaves at once.")

    def _end_line(self) -> None:
        if self._text:
            self._writer.write("" if self._text.endswith("\n") else "\n")
            self._writer.finish()

    def _remark(self, text: str) -> None:
        """Tell a person; a script has no use for it."""
        if sys.stderr.isatty() and not self._as_json:
            note(text)

    def _conclude(self, model: str, user: StoredMessage | None, reply: StoredMessage | None) -> int:
        reason = self._finished.reason if self._finished else "cancelled"
        status = _STATUS[reason]
        dropped = self._started.dropped_messages if self._started else 0
        if dropped:
            plural = "s" if dropped > 1 else ""
            note(f"The conversation is longer than the model's context: the oldest {dropped} message{plural} were left out.")
        if self._as_json:
            ids = {"user": user.id, "reply": reply.id} if user and reply else None
            print_json(
                {"conversation": user.conversation if user else None, "messages": ids, "model": model} | self._figures(reason)
            )
        elif reason == "length":
            note("The answer was cut at its longest length; --max-new-tokens allows more.")
        elif reason == "context":
            note("The answer was cut: the model's context is full.")
        elif reason == "cancelled":
            self._remark("Stopped." if reply is None else "Stopped; what there is of the answer is kept.")
        return _EXIT[status]

    def _figures(self, reason: str) -> dict[str, Any]:
        started, finished = self._started, self._finished
        return {
            "text": finished.text if finished else self._text,
            "status": _STATUS[reason],
            "reason": reason,
            "prompt_tokens": started.prompt_tokens if started else None,
            "completion_tokens": finished.completion_tokens if finished else None,
            "cached_tokens": started.cached_tokens if started else None,
            "dropped_messages": started.dropped_messages if started else 0,
            "first_token_ms": finished.first_token_ms if finished else None,
            "tokens_per_second": finished.tokens_per_second if finished else None,
        }
