"""Talking to the inference host, starting it when it is not there."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from engine import __version__
from engine.errors import EngineError, HostError
from engine.inference.host_end import end_host
from engine.inference.protocol import LONGEST_LINE, PROTOCOL, HostStatus, event_from_dict, line, request_to_dict
from engine.inference.types import Event, Finished, GenerationRequest, Waiting
from engine.processes import held, start_detached
from engine.settings import Settings
from engine.workspace import short_address

_START_SECONDS = 20.0
_BETWEEN_TRIES = 0.02
_BETWEEN_LOOKS = 0.25  # at a host that has replies to write before it makes way
_GREETING_SECONDS = 10.0
_ASKING_SECONDS = 3.0
_LOCK_HELD = 75


class HostClient:
    """A workspace's inference host, as its clients see it. Cheap to make; nothing happens until a method is called.

    Args:
        settings: say where the workspace is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workspace = settings.workspace
        self._process: subprocess.Popen[bytes] | None = None

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """Continue a conversation.

        A host is started when none runs. Closing the iterator early cancels the generation, unless the request names a stored
        reply: that goes on in the host, and `attach` joins it again.

        Yields:
            `Waiting` while a model loads or a host of another version finishes its replies, `Started`, `TextDelta`s, and one
            `Finished`.

        Raises:
            HostError: the host could not be started, or died.
            EngineError: what the host reported: no such model, a prompt that is too long, …
        """
        async with aclosing(self._events(request_to_dict(request))) as events:
            async for event in events:
                yield event

    async def attach(self, reply: int) -> AsyncGenerator[Event, None]:
        """Join a stored reply in progress: all its text so far, then the rest as it comes.

        Raises:
            NotFoundError: the host is not writing that reply.
            HostError: no host runs, or it died.
        """
        async with aclosing(self._events({"op": "attach", "reply": reply}, start=False)) as events:
            async for event in events:
                yield event

    async def stop(self, reply: int) -> None:
        """Stop a stored reply in progress; returns when it is stored. Nothing happens when it is over already."""
        await self._ask_running({"op": "stop", "reply": reply})

    async def load(self, model: str) -> None:
        """Load a model, so that the next reply begins at once; returns when it is loaded.

        Raises:
            HostLeavingError: a host of another version has replies to write first; it was asked to make way then.
        """
        async with self._connection(start=True) as (reader, writer):
            await self._ask(reader, writer, {"op": "load", "model": model})

    async def unload(self, model: str) -> None:
        """Let go of a model, before its files are removed."""
        await self._ask_running({"op": "unload", "model": model})

    async def status(self) -> HostStatus | None:
        """What the host is doing; None when none runs."""
        answer = await self._ask_running({"op": "status"})
        if answer is None:
            return None
        answer.pop("event")
        return HostStatus(**answer)

    async def shut_down(self, say: Callable[[str], None] = lambda _: None) -> bool:
        """End the host, keeping what replies in progress have; returns when it is gone. False when none ran.

        One that does not react (it is frozen, or loads a model without a pause) is killed after a while.

        Args:
            say: gets a sentence when it had to be killed.

        Raises:
            HostError: it cannot be ended from here.
        """
        lock = self._workspace.host_lock
        if not held(lock):
            return False
        await end_host(lock, asked=await self._asked_to_end(), say=say)
        return True

    async def _asked_to_end(self) -> bool:
        try:
            async with asyncio.timeout(_ASKING_SECONDS):
                return await self._ask_running({"op": "shut_down"}) is not None
        except (EngineError, TimeoutError):  # the signals that follow need no answer
            return False

    async def _events(self, request: dict[str, Any], *, start: bool = True) -> AsyncGenerator[Event, None]:
        told = False
        while True:
            try:
                async with self._connection(start=start) as (reader, writer):
                    writer.write(line(request))
                    await writer.drain()
                    while True:
                        event = event_from_dict(await _receive(reader))
                        yield event
                        if isinstance(event, Finished):
                            return
            except HostLeavingError as leaving:  # raised before anything was asked
                reason = leaving.message
            if not told:
                yield Waiting(reason)
                told = True
            await asyncio.sleep(_BETWEEN_LOOKS)

    async def _ask_running(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Ask a host that runs; None when there is none."""
        try:
            async with self._connection(start=False, protocol=request["op"] != "shut_down") as (reader, writer):
                return await self._ask(reader, writer, request)
        except HostAbsentError:
            return None

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: dict[str, Any]) -> dict[str, Any]:
        writer.write(line(request))
        await writer.drain()
        answer = await _receive(reader)
        if answer.get("event") == "error":
            event_from_dict(answer)
        return answer

    @asynccontextmanager
    async def _connection(
        self, *, start: bool, protocol: bool = True
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection to a host.

        Args:
            start: whether new work is to be asked for: then the host is one of our own version, started where none runs.
            protocol: whether it has to speak our protocol.
        """
        reader, writer = await (self._connect_or_start() if start else self._connect(version=False, protocol=protocol))
        try:
            yield reader, writer
        except ConnectionError as error:
            raise _lost() from error
        finally:
            writer.transport.abort()  # closing would first wait for a host that is frozen to take what is still to be sent
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _connect(self, *, version: bool, protocol: bool = True) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the host that runs, which is of our version, or at least speaks our protocol, where that matters."""
        try:
            with short_address(self._workspace.host_socket) as address:
                reader, writer = await asyncio.open_unix_connection(address, limit=LONGEST_LINE)
        except (FileNotFoundError, NotADirectoryError, ConnectionError) as error:
            raise HostAbsentError("No inference host runs.", "It starts with the next message.") from error
        except OSError as error:
            raise HostError(
                f"The inference host cannot be reached at {self._workspace.host_socket}: {error.strerror or error}.",
                "Mend the folder's permissions, or set MTNTUI_HOME to a folder of yours with a shorter path.",
            ) from error
        try:
            greeting = await _greeted(reader)
            if version and (greeting.get("protocol"), greeting.get("version")) != (PROTOCOL, __version__):
                raise await _leaving(reader, writer, str(greeting.get("version")))
            if protocol and greeting.get("protocol") != PROTOCOL:
                raise HostAbsentError("The inference host that runs is of another version.", "Send a message to replace it.")
            return reader, writer
        except BaseException:
            writer.close()
            raise

    async def _connect_or_start(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        deadline = monotonic() + _START_SECONDS
        started: subprocess.Popen[bytes] | None = None
        while True:
            try:
                return await self._connect(version=True)
            except HostAbsentError as absent:
                if isinstance(absent, HostLeavingError) and absent.active:
                    raise
                if monotonic() > deadline:
                    raise HostError(
                        "The inference host did not start in time.", f"Its log is {self._workspace.host_log}."
                    ) from None
            if started is None or started.poll() == _LOCK_HELD:
                # Another host is starting, or an old one is ending: look again in a moment.
                started = self._start()
            elif started.poll() is not None:
                raise HostError(
                    f"The inference host could not start: {_last_line(self._workspace.host_log)}",
                    f"Its log is {self._workspace.host_log}.",
                )
            await asyncio.sleep(_BETWEEN_TRIES)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a host, detached: it outlives this process and its terminal."""
        self._workspace.prepare()
        home = self._workspace.home
        # Kept, so that its end is noticed here and leaves no zombie.
        self._process = start_detached("engine.inference.host", [str(home)], folder=home, log=self._workspace.host_log)
        return self._process


class HostAbsentError(HostError):
    """No inference host listens at the moment."""


class HostLeavingError(HostAbsentError):
    """A host of another version runs and takes no new work; it ends when it has written the replies that it is at.

    Args:
        version: its own.
        active: how many replies it is at.
    """

    def __init__(self, version: str, active: int) -> None:
        super().__init__(
            f"The inference host of another version ({version}) still writes {active} {'reply' if active == 1 else 'replies'} for"
            " another terminal, and ends then.",
            "Wait for it, or end it at once with `mtntui host stop`.",
        )
        self.active = active


async def _greeted(reader: asyncio.StreamReader) -> dict[str, Any]:
    try:
        greeting: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), _GREETING_SECONDS) or b"{}")
    except ConnectionError as error:
        raise HostAbsentError("The inference host is ending.", "Try again.") from error
    except TimeoutError as error:
        raise HostError("The inference host does not answer.", "Run `mtntui host stop`.") from error
    if not greeting:
        raise HostAbsentError("The inference host is ending.", "Try again.")
    return greeting


async def _leaving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: str) -> HostError:
    """Ask a host of another version to end when its work is done; returns what to raise."""
    writer.write(line({"op": "drain"}))
    try:
        answer = await asyncio.wait_for(_receive(reader), _GREETING_SECONDS)
    except (HostError, ConnectionError):  # it ended meanwhile
        return HostLeavingError(version, 0)
    except TimeoutError:
        return HostError("The inference host does not answer.", "Run `mtntui host stop`.")
    if answer.get("event") != "draining":
        return HostError(f"The inference host is of another version ({version}).", "End it with `mtntui host stop`.")
    return HostLeavingError(version, int(answer.get("active", 0)))


async def _receive(reader: asyncio.StreamReader) -> dict[str, Any]:
    received = await reader.readline()
    if not received.endswith(b"\n"):
        raise _lost()
    answer: dict[str, Any] = json.loads(received)
    return answer


def _lost() -> EngineError:
    return HostError("The inference host ended in the middle of its work.", "Send again: a new one starts by itself.")


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError as error:
        return str(error)
    return lines[-1] if lines else "it said nothing."
