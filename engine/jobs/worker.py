"""The process that does one job.

Run as `python -m engine.jobs.worker HOME JOB`, in a session of its own. It may be killed at any moment: the supervisor finds out,
and what the job had told until half a second before is in the store.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from engine.errors import EngineError, InvalidInputError
from engine.jobs.kinds import kind_of
from engine.jobs.output import RESERVE
from engine.jobs.reporter import StoreReporter
from engine.jobs.start import ensure_supervisor
from engine.processes import end_family, hold, log_line, mark_of
from engine.settings import load_settings
from engine.store.database import Database
from engine.store.jobs import JobRecord, Jobs, State
from engine.workspace import Workspace

NOT_NOW = 75
"""The exit status of a worker that found nothing to begin: another has the job, or its resource is taken."""

_LOCK_SECONDS = 2.0
_BETWEEN_LOOKS = 1.0
_SAVING_SECONDS = 30.0
_RESERVED = 1 << 20
_STOPPED = "stopped"
"""The code of the error by which work says that it ended because it was asked to."""


def main(arguments: list[str]) -> int:
    """Do the job `arguments[1]` of the workspace at `arguments[0]`, if it waits and may be begun."""
    workspace = Workspace(Path(arguments[0])).prepare()
    job = arguments[1]
    folder = workspace.job_folder(job)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if hold(folder / "lock", _LOCK_SECONDS) is None:
        return NOT_NOW
    database = Database(workspace.database)
    jobs = Jobs(database)
    waiting = jobs.find(job)
    if waiting is None:
        return NOT_NOW
    limit = getattr(load_settings().jobs, waiting.resource, 1)
    record = jobs.claim(job, os.getpid(), mark_of(os.getpid()), limit)
    if record is None:
        return NOT_NOW
    reserve = _reserve(folder)
    reporter = StoreReporter(workspace, database, job, record.seconds)
    signal.signal(signal.SIGTERM, lambda *_: reporter.stop())
    threading.Thread(target=_watch_supervisor, args=(workspace,), name="supervisor watch", daemon=True).start()
    ending = _work(record, jobs, reporter)
    reserve.unlink(missing_ok=True)  # a job that filled the disk still gets its end on record
    saved = _save(jobs, record, reporter, *ending)
    end_family(job, spare=os.getpid())
    return 0 if saved else 1


def _reserve(folder: Path) -> Path:
    """A file that takes a little of the disk, to be given up when the job's end is to be saved."""
    path = folder / RESERVE
    with suppress(OSError):  # it is full already; the end is tried to be saved for a while
        path.write_bytes(b"\1" * _RESERVED)
    return path


def _watch_supervisor(workspace: Workspace) -> None:
    """Whoever queued this may be gone: then it is up to the worker that there is a supervisor for what follows."""
    while True:
        sleep(_BETWEEN_LOOKS)
        try:
            ensure_supervisor(workspace)
        except (EngineError, OSError) as error:
            log_line(f"the supervisor could not be started: {error}")


def _work(record: JobRecord, jobs: Jobs, reporter: StoreReporter) -> tuple[State, str, str, dict[str, Any] | None]:
    """Run the kind's function; returns state, error, hint and result."""
    try:
        kind = kind_of(record.kind)
        config = kind.validate(_filled(record, jobs))
        result = kind.load_run()(config, reporter)
    except EngineError as error:
        if error.code == _STOPPED:
            return "cancelled", "", "", None
        _tell_traceback()  # what failed while it was asked to stop is not lost either
        return "cancelled" if reporter.should_stop() else "failed", error.message, error.hint, None
    except MemoryError:
        _tell_traceback()
        return "failed", "There was not enough memory.", "Close other programs, or take a smaller model or batch.", None
    except BaseException as error:
        _tell_traceback()
        said = str(error).strip().split("\n")[0][:300]
        what = f"{type(error).__name__}: {said}" if said else type(error).__name__
        return (
            "failed",
            f"The {record.kind} job failed: {what}.",
            f"`mtntui jobs logs --output {record.id}` has the details.",
            None,
        )
    if reporter.should_stop() and result is None:
        return "cancelled", "", "", None
    return "succeeded", "", "", result or {}


def _tell_traceback() -> None:
    with suppress(OSError):  # the output may be on a full disk
        traceback.print_exc()


def _filled(record: JobRecord, jobs: Jobs) -> dict[str, Any]:
    """The configuration, with what the job before this one made."""
    if not record.argument or record.parent is None:
        return record.config
    made = [artefact for artefact in jobs.artefacts(record.parent) if artefact.kind != "file"]
    if not made:
        raise InvalidInputError(
            f"The job before this one, {record.parent}, made nothing to take as {record.argument}.",
            f"Resume this one with --set {record.argument}=….",
        )
    config = record.config | {record.argument: made[-1].name}
    jobs.set_config(record.id, config)
    return config


def _save(
    jobs: Jobs, record: JobRecord, reporter: StoreReporter, state: State, error: str, hint: str, result: dict[str, Any] | None
) -> bool:
    """Put the end on record; tries for a while when the disk is full."""
    deadline = monotonic() + _SAVING_SECONDS
    while True:
        try:
            reporter.close()
            jobs.end(record.id, state, process=record.process, mark=record.process_mark, error=error, hint=hint, result=result)
            return True
        except EngineError as trouble:
            log_line(f"the job's end ({state}) cannot be saved: {trouble}")
            if monotonic() > deadline:
                return False
            sleep(0.5)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # Threads of libraries must not hold up the end of a job that is over.
    os._exit(status)
