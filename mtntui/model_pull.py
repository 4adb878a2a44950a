"""Fetching a model, as a process of its own that the terminal only watches."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from engine.progress import Progress
from engine.settings import Settings
from engine.workspace import HOME_VARIABLE

_LONGEST_LINE = 1 << 20


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
    """

    name: str = ""
    phase: Literal["idle", "running", "done", "failed", "cancelled"] = "idle"
    progress: Progress | None = None
    model: str = ""
    message: str = ""
    hint: str = ""


class ModelPull:
    """One fetch at a time; whoever wants to see it listens.

    The work is `python -m mtntui models pull NAME --json` in a session of its own, so that it neither slows the screen
    down nor dies with the terminal.

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

    def start(self, name: str) -> None:
        """Begin to fetch a model of the catalogue or of the Hub; while another fetch runs, nothing happens."""
        if self.running:
            return
        self._cancelled = False
        self._outcome = None
        self._become(PullState(name, "running"))
        self._task = asyncio.create_task(self._run(name))

    def cancel(self) -> None:
        """Stop the fetch; what was downloaded stays, and the next one goes on from there."""
        self._cancelled = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    async def _run(self, name: str) -> None:
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mtntui", "models", "pull", name, "--json"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                start_new_session=True,
                env=os.environ | {HOME_VARIABLE: str(self._settings.workspace.home)},
            )
        except OSError as error:
            self._become(self._failure(f"The fetch of {name} could not be started: {error}.", "Try again."))
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
            event: dict[str, Any] = json.loads(line)
        except ValueError:  # A library that prints is no reason to stop.
            return
        match event.get("event"):
            case "progress":
                progress = Progress(event["phase"], event.get("done") or 0, event.get("total"), event.get("unit") or "")
                self._become(PullState(self.state.name, "running", progress))
            case "done":
                self._outcome = PullState(self.state.name, "done", model=str(event["model"]["name"]))
            case "error":
                self._outcome = self._failure(str(event.get("message", "")), str(event.get("hint", "")))

    def _ended(self, status: int, errors: str) -> None:
        """Tell the outcome only now: another fetch may begin as soon as it is known."""
        outcome = self._outcome
        if outcome is None or (self._cancelled and outcome.phase == "failed"):
            last = errors.strip().splitlines()[-1:] or [f"it ended with status {status}"]
            broken = self._failure(f"The fetch of {self.state.name} broke off: {last[0]}.", "Try again; it goes on from there.")
            outcome = PullState(self.state.name, "cancelled") if self._cancelled else broken
        self._become(outcome)

    def _failure(self, message: str, hint: str) -> PullState:
        return PullState(self.state.name, "failed", message=message, hint=hint)

    def _become(self, state: PullState) -> None:
        self.state = state
        for listener in tuple(self._listeners):
            listener(state)
