"""The inference host: one process per workspace that holds loaded models and generates for every terminal.

Run as `python -m engine.inference.host HOME`. Clients start it on demand; it ends when nobody used it for a while.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from engine import __version__
from engine.errors import EngineError, HostError, InvalidInputError, NotFoundError
from engine.inference.broadcast import Broadcast
from engine.inference.model_pool import ModelPool
from engine.inference.model_worker import Task
from engine.inference.protocol import (
    LONGEST_LINE,
    HostStatus,
    error_to_dict,
    event_to_dict,
    greeting,
    line,
    request_from_dict,
)
from engine.inference.types import Event, GenerationRequest, Waiting
from engine.processes import hold, log_line
from engine.settings import Settings, load_settings
from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.store.models import Models
from engine.workspace import Workspace, short_address

LOCK_HELD = 75
"""Exit status when another host of this workspace runs already."""

_BETWEEN_IDLE_CHECKS = 1.0
_BETWEEN_LOOKS = 0.02
_LAST_WORDS_SECONDS = 5.0


class Host:
    """Serves one workspace until it is idle for long, or told to end.

    Args:
        workspace: prepared.
        settings: for threads, memory and idle time.
    """

    def __init__(self, workspace: Workspace, settings: Settings) -> None:
        self._workspace = workspace
        self._settings = settings.inference
        database = Database(workspace.database)
        self._conversations = Conversations(database)
        self._pool = ModelPool(
            Models(database), limit=self._settings.max_loaded_models, threads=self._settings.threads, log=log_line
        )
        self._tasks: dict[Task, Broadcast] = {}
        self._replies: dict[int, Task] = {}
        self._connections = 0
        self._last_use = monotonic()
        self._end = asyncio.Event()
        self._draining = False

    async def serve(self) -> None:
        """Listen until the end; replies in progress are stopped and kept then."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._end.set)
        await asyncio.to_thread(self._conversations.mark_interrupted)
        path = self._workspace.host_socket
        path.unlink(missing_ok=True)  # the lock is ours, so whoever made it is dead
        old_mask = os.umask(0o177)
        try:
            with short_address(path) as address:
                server = await asyncio.start_unix_server(self._connected, address, limit=LONGEST_LINE)
        finally:
            os.umask(old_mask)
        log_line(f"listening, process {os.getpid()}, version {__version__}")
        await self._until_end()
        path.unlink(missing_ok=True)
        server.close()
        broadcasts = list(self._tasks.values())
        for task in list(self._tasks):
            task.cancelled.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(broadcast.over.wait() for broadcast in broadcasts)), 10)
        log_line("ended")

    async def _until_end(self) -> None:
        while not self._end.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), _BETWEEN_IDLE_CHECKS)
            if self._tasks or self._connections:
                self._last_use = monotonic()
            elif monotonic() - self._last_use > 60 * self._settings.idle_minutes:
                log_line("idle")
                return
            if not self._workspace.home.is_dir():
                log_line("the workspace is gone")
                return

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            writer.write(line(greeting(os.getpid())))
            request = json.loads(await reader.readline() or b"{}")
            await self._answer(request, reader, writer)
        except EngineError as error:
            writer.write(line(error_to_dict(error)))
        except (ConnectionError, asyncio.CancelledError):
            return
        except Exception as error:
            log_line(traceback.format_exc())
            trouble = InvalidInputError(f"The inference host could not read a request: {error!r}.", "Update mtntui.")
            writer.write(line(error_to_dict(trouble)))
        finally:
            self._connections -= 1
            # A client that was put to sleep (Ctrl-Z) takes nothing; it must not keep the host from ending.
            with suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(writer.drain(), _LAST_WORDS_SECONDS)
            writer.close()

    async def _answer(self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match request.get("op"):
            case "generate" | "load" if self._draining and request.get("reply") not in self._replies:
                raise HostError(
                    "The inference host makes way for one of another version of mtntui, which was started in another terminal.",
                    "Leave mtntui and start it again, to use the same version.",
                )
            case "generate":
                await self._generate(request_from_dict(request), reader, writer)
            case "attach":
                await self._pass_on(self._broadcast(request["reply"]), reader, writer)
            case "stop":
                if task := self._replies.get(request["reply"]):
                    task.cancelled.set()
                    await self._tasks[task].over.wait()
                writer.write(line({"event": "ok"}))
            case "load":
                await self._load(request["model"])
                writer.write(line({"event": "ok"}))
            case "unload":
                self._pool.unload(request["model"])
                writer.write(line({"event": "ok"}))
            case "status":
                writer.write(line({"event": "status", **_fields(self._status())}))
            case "drain":
                self._draining = True
                writer.write(line({"event": "draining", "active": len(self._tasks)}))
                self._end_if_drained()
            case "shut_down":
                writer.write(line({"event": "ok"}))
                self._end.set()
            case None:  # connected and left: somebody looked whether a host is there
                return
            case other:
                raise InvalidInputError(f"The inference host does not know the request {other!r}.", "Update mtntui.")

    async def _generate(self, request: GenerationRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.reply in self._replies:  # asked for twice: there is one reply to write
            await self._pass_on(self._broadcast(request.reply), reader, writer)
            return
        loop = asyncio.get_running_loop()
        broadcast = Broadcast(request.reply, self._conversations)

        def emit(event: Event) -> None:
            loop.call_soon_threadsafe(broadcast.take, event)

        def fail(error: EngineError) -> None:
            loop.call_soon_threadsafe(broadcast.fail, error)

        task = Task(request, emit, fail)
        self._tasks[task] = broadcast
        if request.reply is not None:
            self._replies[request.reply] = task
        broadcast.begin()
        forget = asyncio.create_task(self._forget(task, broadcast))
        await self._submit(task, broadcast)
        try:
            await self._pass_on(broadcast, reader, writer)
        finally:
            if request.reply is None and not broadcast.heard:
                task.cancelled.set()
            await asyncio.shield(forget)

    async def _submit(self, task: Task, broadcast: Broadcast) -> None:
        """Hand a task to its model; when that cannot be had, the reply has failed."""
        try:
            worker = self._pool.worker(await asyncio.to_thread(self._pool.find, task.request.model))
        except EngineError as error:
            broadcast.fail(error)
            return
        except Exception as error:  # no thread can be started, say: the reply must end all the same
            log_line("".join(traceback.format_exception(error)))
            broadcast.fail(EngineError(f"{task.request.model} could not be run: {error!r}.", "The host's log has the details."))
            return
        if not worker.settled.is_set():
            broadcast.take(Waiting(f"loading {worker.name}"))
        worker.submit(task)

    async def _forget(self, task: Task, broadcast: Broadcast) -> None:
        await broadcast.over.wait()
        self._tasks.pop(task, None)
        if task.request.reply is not None:
            self._replies.pop(task.request.reply, None)
        self._end_if_drained()

    def _end_if_drained(self) -> None:
        if self._draining and not self._tasks:
            log_line("makes way for another version")
            self._end.set()

    def _broadcast(self, reply: int) -> Broadcast:
        if reply not in self._replies:
            raise NotFoundError("That reply is not being written any more.", "Open the conversation again.")
        return self._tasks[self._replies[reply]]

    async def _pass_on(self, broadcast: Broadcast, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send events until the last one, or until the client is gone."""
        gone = asyncio.create_task(reader.read(1))
        sending = asyncio.create_task(self._send(broadcast, writer))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (gone, sending):
                task.cancel()
            with suppress(asyncio.CancelledError, ConnectionError, EngineError):
                await sending

    async def _send(self, broadcast: Broadcast, writer: asyncio.StreamWriter) -> None:
        async for event in broadcast.listen():
            writer.write(line(event_to_dict(event)))
            await writer.drain()

    async def _load(self, model: str) -> None:
        worker = self._pool.worker(await asyncio.to_thread(self._pool.find, model))
        # Not waited for in a thread: the store needs those, and the host's end would wait for the model.
        while not worker.settled.is_set():  # noqa: ASYNC110 - set by a thread, which knows no event loop
            await asyncio.sleep(_BETWEEN_LOOKS)
        if worker.trouble:
            raise worker.trouble

    def _status(self) -> HostStatus:
        return HostStatus(
            pid=os.getpid(),
            version=__version__,
            loaded=self._pool.loaded,
            replies=list(self._replies),
            active=len(self._tasks),
            memory_bytes=_resident_bytes(),
            idle_seconds=monotonic() - self._last_use,
        )


def _fields(status: HostStatus) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(status)


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str]) -> int:
    """Run the host of the workspace at `arguments[0]`."""
    try:
        workspace = Workspace(Path(arguments[0])).prepare()
        # Never closed here: whoever waits for the lock counts on the database and the models being let go of too.
        if hold(workspace.host_lock) is None:
            return LOCK_HELD
        asyncio.run(_serve(workspace, load_settings()))
    except EngineError as error:
        log_line(str(error))
        return 1
    return 0


async def _serve(workspace: Workspace, settings: Settings) -> None:
    await Host(workspace, settings).serve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
