"""The far end of `engine.models.child`: one task in a process that may take much memory, hang or crash.

Run as `python -m engine.models.worker`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from engine.errors import EngineError
from engine.progress import Progress


class _Pipe:
    """A reporter that writes JSON lines; a stop comes as a signal, so nobody has to ask for it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, event: str, **fields: Any) -> None:
        with self._lock:
            self._stream.write(json.dumps({"event": event} | fields) + "\n")
            self._stream.flush()

    def progress(self, progress: Progress) -> None:
        self.send("progress", phase=progress.phase, done=progress.done, total=progress.total, unit=progress.unit)

    def log(self, line: str) -> None:
        self.send("log", line=line)

    def should_stop(self) -> bool:
        return False


def main() -> int:
    """Do the task on standard input; returns the exit status."""
    # Libraries print; what they print goes to the log, and the answers alone to whoever listens.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    pipe = _Pipe(answers)
    task = json.loads(sys.stdin.buffer.readline() or b"null")
    if task is None:
        return 1
    threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()
    try:
        result = _TASKS[task.pop("task")](pipe, **task)
    except EngineError as error:
        traceback.print_exc()
        pipe.send("error", code=error.code, message=error.message, hint=error.hint)
        return 1
    except MemoryError:
        traceback.print_exc()
        pipe.send("error", code="storage", message="Memory ran out.", hint="Close other programs or take a smaller model.")
        return 1
    except OSError as error:
        traceback.print_exc()
        if error.errno is None:  # no word of the system's: transformers raises bare OSErrors about files it does not understand
            pipe.send("error", code="invalid", message=f"The model cannot be read: {error}.", hint="Use another version of it.")
        else:
            pipe.send("error", code="storage", message=f"The files could not be written: {error}.", hint="Check the disk.")
        return 1
    pipe.send("done", result=result or {})
    return 0


def _end_with_parent() -> None:
    """Wait for the end of standard input, which is the end of the process that wanted the work, and end everything."""
    while sys.stdin.buffer.read(1):
        pass
    os.killpg(0, signal.SIGKILL)


def _convert(pipe: _Pipe, *, gguf: str, target: str) -> dict[str, Any]:
    from engine.models.conversion import gguf_to_safetensors

    return gguf_to_safetensors(Path(gguf), Path(target), pipe)


def _build(pipe: _Pipe, *, weights: str, target: str, precision: str) -> dict[str, Any]:
    from engine.models.graph_building import build_graph

    return build_graph(Path(weights), Path(target), precision, pipe)


def _try_graph(pipe: _Pipe, *, folder: str) -> dict[str, Any]:
    from engine.models.graph_trial import try_graph

    return try_graph(Path(folder), pipe)


_TASKS: dict[str, Callable[..., dict[str, Any]]] = {"convert": _convert, "build": _build, "try": _try_graph}


if __name__ == "__main__":
    # The watch thread is inside a read of standard input; a normal exit would wait for its lock.
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
