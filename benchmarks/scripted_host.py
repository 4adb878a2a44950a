"""An inference host whose model is a script: it answers every message with a fixed text at a fixed rate.

Run as `python scripted_host.py HOME TEXT_FILE LOG RATE CHARACTERS`. Socket, protocol, batching of text and the writing into the
store are the real host's; only the model is not. LOG takes the time (`time.monotonic()`) of each token as a JSON list when a
reply is over. A token is so many characters.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import sys
import threading
import time
from pathlib import Path

import checkout  # noqa: F401

from engine.inference.host import Host
from engine.inference.model_worker import Task
from engine.inference.types import Finished, FinishReason, Started, TextDelta
from engine.settings import load_settings
from engine.workspace import Workspace


class ScriptedModel:
    """Stands where the host keeps its models and their workers.

    Args:
        text: the reply.
        log: the file for the tokens' times.
        rate: tokens per second.
        characters: the length of a token.
    """

    name = "scripted"
    trouble = None
    busy = False

    def __init__(self, text: str, log: Path, rate: float, characters: int) -> None:
        self._tokens = [text[start : start + characters] for start in range(0, len(text), characters)]
        self._text = text
        self._log = log
        self._rate = rate
        self.loaded = [self.name]
        self.settled = threading.Event()
        self.settled.set()

    def worker(self, name: str) -> ScriptedModel:
        """The worker of every model."""
        return self

    def unload(self, name: str) -> None:
        """There is nothing to unload."""

    def discard(self, worker: ScriptedModel) -> None:
        """There is nothing to forget."""

    def submit(self, task: Task) -> None:
        """Answer in a thread of its own, as a model does."""
        threading.Thread(target=self._answer, args=(task,), daemon=True).start()

    def _answer(self, task: Task) -> None:
        task.emit(Started(10, 0, 0, 8192))
        start, times = time.monotonic(), []
        for number, token in enumerate(self._tokens):
            time.sleep(max(0.0, start + number / self._rate - time.monotonic()))
            if task.cancelled.is_set():
                break
            times.append(time.monotonic())
            task.emit(TextDelta(token, number + 1))
        reason: FinishReason = "cancelled" if task.cancelled.is_set() else "eos"
        text = "".join(self._tokens[: len(times)])
        task.emit(Finished(text, reason, 10, len(times), 1.0, self._rate))
        part = self._log.with_suffix(".part")
        part.write_text(json.dumps(times))
        part.replace(self._log)


async def serve(workspace: Workspace, model: ScriptedModel) -> None:
    """Be the workspace's host until told to end."""
    host = Host(workspace, load_settings())
    host._pool = model  # type: ignore[assignment]
    await host.serve()


def main() -> None:
    """Hold the workspace's host lock and serve."""
    home, source, log, rate, characters = sys.argv[1:]
    workspace = Workspace(Path(home)).prepare()
    with workspace.host_lock.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        model = ScriptedModel(Path(source).read_text(encoding="utf-8"), Path(log), float(rate), int(characters))
        asyncio.run(serve(workspace, model))


if __name__ == "__main__":
    main()
