"""The heavy work (torch, transformers, the graph builder) runs in a process of its own; this is the near end of it.

The far end is `engine.models.worker`. It gets one task as a line of JSON on its standard input and answers with lines of JSON.
Its input stays open as long as we live: when it ends, for whatever reason, the worker ends itself and all it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import engine
from engine.errors import EngineError, StorageError, error_from
from engine.models.downloads import storage_errors
from engine.models.errors import StoppedError
from engine.progress import Progress, Reporter
from engine.workspace import private_opener

_GRACE = 3.0  # seconds between asking a worker to end and ending it


def run_worker(
    task: dict[str, Any], reporter: Reporter, log: Path, *, paths: Mapping[Path, Path] | None = None
) -> dict[str, Any]:
    """Run one task and return its result.

    Args:
        task: `task` names it; the rest are its arguments. Paths are absolute.
        log: gets whatever the libraries print; replaced.
        paths: folders that the user never saw, with those to name in errors instead.

    Raises:
        StoppedError: the reporter said so; the worker and all it started are gone.
        EngineError: the task failed, or the worker was killed.
    """
    with storage_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        output = open(log, "wb", opener=private_opener)  # noqa: SIM115
    with output:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.models.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            # -m looks for the package in the current folder first: that must be ours, not wherever the user stands.
            cwd=Path(engine.__file__).parent.parent,
            env=_environment(),
        )
    try:
        assert process.stdin is not None and process.stdout is not None
        _send(process.stdin, task)
        result = _listen(process, process.stdout, reporter)
    except EngineError as error:
        for staged, known in (paths or {}).items():
            error.message = error.message.replace(str(staged), str(known))
        raise
    finally:
        _end(process)
    if result is not None:
        return result
    raise _died(process.returncode, log)


def _environment() -> dict[str, str]:
    """The user's environment, without the network and without secrets, which the worker has no use for."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_TOKEN", "_API_KEY"))}
    return kept | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}


def _send(stream: IO[bytes], task: dict[str, Any]) -> None:
    try:
        stream.write(json.dumps(task).encode() + b"\n")
        stream.flush()
    except BrokenPipeError:
        return  # it died at once; its exit status tells


def _listen(process: subprocess.Popen[bytes], stream: IO[bytes], reporter: Reporter) -> dict[str, Any] | None:
    """Hand on what the worker reports until it ends; returns its result, or None when it died without one."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, name="worker output", daemon=True).start()
    while True:
        if reporter.should_stop():
            raise StoppedError("The work")
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            continue
        if line is None:
            process.wait()
            return None
        message = json.loads(line)
        match message.pop("event"):
            case "progress":
                reporter.progress(Progress(**message))
            case "log":
                reporter.log(message["line"])
            case "error":
                raise error_from(message["code"], message["message"], message["hint"])
            case "done":
                result: dict[str, Any] = message["result"]
                return result


def _end(process: subprocess.Popen[bytes]) -> None:
    """See to it that the worker's whole process group is gone."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            process.wait(0.0 if number == signal.SIGTERM else _GRACE)
            break
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, number)
    process.wait()
    _signal_group(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS refuses, with the latter, a group of which only zombies are left
        return


def _died(status: int, log: Path) -> EngineError:
    if status == -signal.SIGKILL:
        return StorageError(
            "The work was killed from outside, most likely because memory ran out.",
            "Close other programs or take a smaller model, then try again.",
        )
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = f": {lines[-1][:300]}" if lines else ""
    return EngineError(f"The work ended unexpectedly (status {status}){last}.", f"All it said is in {log}.")
