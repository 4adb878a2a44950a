"""A loaded model and the thread that runs it, for several replies at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.inference.types import Event, Finished, GenerationRequest, TextDelta

if TYPE_CHECKING:
    from engine.inference.onnx_generator import OnnxGenerator

# Every wake-up of the host's event loop, of the screen and of its terminal takes a core from the model's threads for a while,
# and those wait for each other. Twelve a second still look like a stream, and what is made is seen within a tenth of a second.
_BETWEEN_DELTAS = 1 / 12


@dataclass(slots=True, eq=False)
class Task:
    """One generation.

    Attributes:
        emit: called with each event, in the worker's thread.
        fail: called once, instead of the last event, when it cannot go on.
        cancelled: set from any thread; what was generated until then is kept.
        created: when it was asked for, on the monotonic clock.
        started: when the model, loaded and free, came to it.
    """

    request: GenerationRequest
    emit: Callable[[Event], None]
    fail: Callable[[EngineError], None]
    cancelled: threading.Event = field(default_factory=threading.Event)
    created: float = field(default_factory=monotonic)
    started: float = 0.0
    _pending: str = ""
    _tokens: int = 0
    _emitted_at: float = 0.0

    def take(self, event: Event) -> None:
        """Pass an event on; text is gathered for a moment, so that few wake-ups cost the model's threads their time."""
        if isinstance(event, TextDelta):
            self._pending += event.text
            self._tokens = event.completion_tokens
            if monotonic() - self._emitted_at < _BETWEEN_DELTAS:
                return
        self.flush()
        if isinstance(event, Finished) and event.first_token_ms:
            event = replace(event, first_token_ms=event.first_token_ms + 1000 * (self.started - self.created))
        if not isinstance(event, TextDelta):
            self.emit(event)

    def flush(self) -> None:
        """Pass on the text that was gathered."""
        if self._pending:
            self.emit(TextDelta(self._pending, self._tokens))
            self._pending, self._emitted_at = "", monotonic()


class ModelWorker:
    """Loads a model in a thread of its own and runs its tasks there, a token of each in turn.

    Args:
        name: the model's, for messages.
        folder: the model's files.
        threads: how many the model computes with; 0: one per physical core.
        log: takes tracebacks of what should not happen.

    Attributes:
        settled: set when loading is over.
        trouble: why the model could not be loaded.
    """

    def __init__(self, name: str, folder: Path, threads: int, log: Callable[[str], None]) -> None:
        self.name = name
        self.settled = threading.Event()
        self.trouble: EngineError | None = None
        self._folder = folder
        self._threads = threads
        self._log = log
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._unfinished = 0
        self._count = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"model {name}", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a task runs or waits."""
        return self._unfinished > 0

    def submit(self, task: Task) -> None:
        """Queue a task."""
        with self._count:
            self._unfinished += 1
        self._tasks.put(task)

    def close(self) -> None:
        """End the thread, and free the model, when the tasks queued so far are done."""
        self._tasks.put(None)

    def _run(self) -> None:
        try:
            from engine.inference.onnx_generator import OnnxGenerator

            generator = OnnxGenerator(self._folder, self._threads)
        except Exception as error:
            if error.__cause__ is not None:  # onnxruntime's own words, which go on for a page
                self._log(f"{self.name}: {error.__cause__}")
            self.trouble = self._explain(error)
            self.settled.set()
            self._refuse(self.trouble)
            return
        self.settled.set()
        self._serve(generator)

    def _serve(self, generator: OnnxGenerator) -> None:
        active: list[tuple[Task, Iterator[Event | None]]] = []
        closing = False
        while active or not closing:
            while not self._tasks.empty() or not (active or closing):
                task = self._tasks.get()
                if task is None:
                    closing = True
                else:
                    task.started = monotonic()
                    active.append((task, generator.steps(task.request, task.cancelled.is_set)))
            active = [pair for pair in active if self._advance(*pair)]

    def _advance(self, task: Task, steps: Iterator[Event | None]) -> bool:
        """One step of a task; whether it goes on."""
        try:
            event = next(steps, self)
        except Exception as error:
            self._done()
            task.flush()
            task.fail(self._explain(error))
            return False
        if event is self:
            self._done()
            return False
        if event is not None:
            task.take(event)  # type: ignore[arg-type]  # `self` marks the end and was dealt with
        return True

    def _done(self) -> None:
        with self._count:
            self._unfinished -= 1

    def _refuse(self, error: EngineError) -> None:
        """The model cannot be loaded: fail what waits and what comes, until closed."""
        while (task := self._tasks.get()) is not None:
            self._done()
            task.fail(error)

    def _explain(self, error: Exception) -> EngineError:
        if isinstance(error, EngineError):
            return error
        import traceback

        self._log("".join(traceback.format_exception(error)))
        if isinstance(error, MemoryError):
            return EngineError(f"There is not enough memory to run {self.name}.", "Use a smaller model.")
        return EngineError(f"{self.name} failed: {type(error).__name__}: {error}.", "The host's log has the details.")
