"""How long work tells what it is doing, and learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of some work.

    Attributes:
        phase: what is being done now, in a few words ("downloading", "quantising").
        done: how much of this phase is done, in `unit`.
        total: how much there is, or None while that is unknown.
        unit: "B" for bytes, else a plural noun ("files", "layers").
    """

    phase: str
    done: float = 0
    total: float | None = None
    unit: str = ""


class Reporter(Protocol):
    """Where long work reports to; answers whether it should stop."""

    def progress(self, progress: Progress) -> None:
        """Tell how far the work is."""

    def log(self, line: str) -> None:
        """Keep one line for whoever wants the details."""

    def should_stop(self) -> bool:
        """Whether the user asked for an end; the work stops at the next safe point."""


class JobReporter(Reporter, Protocol):
    """What a job reports to: besides how far it is, numbers over time and what it made.

    A domain offers `run(config, reporter) -> result` and is handed one; what it tells is in the store within half a second.
    """

    @property
    def workspace(self) -> Workspace:
        """Where everything lives."""

    @property
    def folder(self) -> Path:
        """The job's own folder: its checkpoints are kept here until the job is removed."""

    def metric(self, name: str, step: int, value: float) -> None:
        """Keep one number, such as the loss at a step. A step told again replaces the number that was told before."""

    def artefact(self, kind: str, name: str, path: str = "") -> None:
        """Say that something was made: a "model", "dataset" or "evaluation" by its record's name, or a "file"."""


class CallbackReporter:
    """A reporter that hands everything to plain functions.

    Args:
        on_progress: called with each `Progress`.
        on_log: called with each log line.
        stop: asked by `should_stop`.
    """

    def __init__(
        self,
        on_progress: Callable[[Progress], None] = lambda _: None,
        on_log: Callable[[str], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._on_progress = on_progress
        self._on_log = on_log
        self._stop = stop

    def progress(self, progress: Progress) -> None:
        """Hand on one step."""
        self._on_progress(progress)

    def log(self, line: str) -> None:
        """Hand on one line."""
        self._on_log(line)

    def should_stop(self) -> bool:
        """Ask the stop function."""
        return self._stop()
