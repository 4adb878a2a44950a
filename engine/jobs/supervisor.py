"""The process that sees to the queue: starts what may run, notices what died, stops what was cancelled.

Run as `python -m engine.jobs.supervisor HOME`, detached. All it knows stands in the store, so that another one takes its
place at any moment; which worker may begin is decided by the store too (`Jobs.claim`). It ends when nothing waits and nothing
runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from engine.errors import EngineError
from engine.jobs.output import RESERVE, keep_short, last_line
from engine.jobs.usage import Usage
from engine.jobs.worker import NOT_NOW
from engine.processes import JOB_VARIABLE, alive, end_family, hold, log_line, start_detached
from engine.settings import JobSettings, load_settings
from engine.store.database import Database, now
from engine.store.jobs import JobRecord, Jobs
from engine.workspace import Workspace

_TICK = 0.05
_LOOK_SECONDS = 0.5  # between looks at the processes, which nobody tells us about
_IDLE_SECONDS = 5.0
_USAGE_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_MOST_STARTS = 3  # of a worker that ends before it begins
_MOST_RESUMES = 3


@dataclass(slots=True)
class _Worker:
    """A worker that this supervisor started."""

    process: subprocess.Popen[bytes]
    starts: int = 1
    began: float = field(default_factory=monotonic)


@dataclass(slots=True)
class _Stopping:
    """A job that was asked to stop."""

    since: float = field(default_factory=monotonic)
    killed: bool = False


class Supervisor:
    """Sees to the jobs of a workspace.

    Args:
        workspace: whose lock this process holds.
        settings: how many jobs may run at once, and how long a stop may take.
    """

    def __init__(self, workspace: Workspace, settings: JobSettings) -> None:
        self._workspace = workspace
        self._settings = settings
        self._database = Database(workspace.database)
        self._jobs = Jobs(self._database)
        self._workers: dict[str, _Worker] = {}
        self._stopping: dict[str, _Stopping] = {}
        self._usage = Usage(self._jobs)
        self._version = -1
        self._looked_at = self._measured_at = float("-inf")
        self._busy_at = monotonic()

    def needed(self) -> bool:
        """Whether somebody has to see to a job."""
        return bool(self._jobs.moving())

    def run(self) -> None:
        """Work until nothing has been to do for a while."""
        while monotonic() - self._busy_at < _IDLE_SECONDS:
            try:
                self._tick()
            except EngineError as error:  # a full disk, say; the next try may find room
                log_line(str(error))
                self._busy_at = monotonic()
                sleep(1.0)
            sleep(_TICK)

    def _tick(self) -> None:
        version = self._database.query("PRAGMA data_version")[0][0]
        ended = any(worker.process.poll() is not None for worker in self._workers.values())
        if version == self._version and not ended and monotonic() - self._looked_at < _LOOK_SECONDS:
            return
        self._version, self._looked_at = version, monotonic()
        moving = self._jobs.moving()
        if moving:
            self._busy_at = monotonic()
        running = [job for job in moving if job.state != "queued"]
        for job in running:
            self._see_to(job)
        self._start([job for job in moving if job.state == "queued"], running)
        for identifier in [name for name, worker in self._workers.items() if worker.process.poll() is not None]:
            if identifier not in {job.id for job in moving}:
                del self._workers[identifier]
        if monotonic() - self._measured_at >= _USAGE_SECONDS:
            self._measured_at = monotonic()
            self._usage.measure(running)

    # What runs

    def _see_to(self, job: JobRecord) -> None:
        keep_short(self._workspace.job_folder(job.id) / "output.log")
        if not alive(job.process, job.process_mark):
            self._died(job)
        elif job.state == "stopping":
            self._stop(job)

    def _stop(self, job: JobRecord) -> None:
        """Ask a job's worker to stop, and end all of the job's processes when it does not."""
        assert job.process is not None
        if job.id not in self._stopping:
            self._stopping[job.id] = _Stopping()
            with suppress(ProcessLookupError):  # it has just ended; the next look finds that out
                os.kill(job.process, signal.SIGTERM)
        stopping = self._stopping[job.id]
        if monotonic() - stopping.since > self._settings.grace_seconds:
            stopping.killed = True
            end_family(job.id, job.process, job.process_mark)

    def _died(self, job: JobRecord) -> None:
        """A worker is gone without a word."""
        if not end_family(job.id):
            log_line(f"{job.id}: some of its processes cannot be killed")
        (self._workspace.job_folder(job.id) / RESERVE).unlink(missing_ok=True)
        worker, stopping = self._workers.pop(job.id, None), self._stopping.pop(job.id, None)
        if job.state == "stopping":
            grace = f"{self._settings.grace_seconds:g} s"
            error = f"It did not stop within {grace} and was ended." if stopping is not None and stopping.killed else ""
            self._jobs.end(job.id, "cancelled", process=job.process, mark=job.process_mark, error=error)
            return
        status = worker.process.wait() if worker is not None else None
        error, hint = _why(status, job)
        if self._jobs.end(job.id, "interrupted", process=job.process, mark=job.process_mark, error=error, hint=hint):
            log_line(f"{job.id} was interrupted")
            if job.policy == "resume" and job.attempts <= _MOST_RESUMES:
                self._jobs.requeue(job.id)
                self._jobs.record(job.id, lines=[(now(), f"{error} It is resumed (attempt {job.attempts + 1}).")])

    # What waits

    def _start(self, queued: list[JobRecord], running: list[JobRecord]) -> None:
        """Start workers for the jobs that may run; the oldest first."""
        used: dict[str, int] = {}
        for job in running:
            used[job.resource] = used.get(job.resource, 0) + 1
        done = {parent: self._jobs.get(parent).state == "succeeded" for job in queued if (parent := job.parent) is not None}
        for job in queued:
            if job.parent is not None and not done[job.parent]:
                continue
            if used.get(job.resource, 0) >= getattr(self._settings, job.resource, 1):
                continue
            used[job.resource] = used.get(job.resource, 0) + 1
            self._start_worker(job)

    def _start_worker(self, job: JobRecord) -> None:
        before = self._workers.get(job.id)
        if before is not None and before.process.poll() is None:
            return  # it has not come to claiming the job
        if before is not None and monotonic() - before.began < _RETRY_SECONDS:
            return
        # One that was refused, or killed from outside, tells nothing about whether the next can start.
        harmless = before is not None and before.process.returncode in (NOT_NOW, -signal.SIGKILL)
        starts = before.starts + (not harmless) if before is not None else 1
        folder = self._workspace.job_folder(job.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if starts > _MOST_STARTS:
            self._workers.pop(job.id, None)
            if self._jobs.claim(job.id, 0, "", sys.maxsize):
                said = last_line(folder / "output.log")
                self._jobs.end(
                    job.id, "failed", error=f"Its worker could not be started: {said}.", hint="`mtntui doctor` may tell why."
                )
            return
        process = start_detached(
            "engine.jobs.worker",
            [str(self._workspace.home), job.id],
            folder=folder,
            log=folder / "output.log",
            environment={JOB_VARIABLE: job.id},
        )
        self._workers[job.id] = _Worker(process, starts)


def _why(status: int | None, job: JobRecord) -> tuple[str, str]:
    """What a worker's death means, from its exit status where that is known; a sentence, and one that says what to do."""
    hint = f"`mtntui jobs resume {job.id}` begins it again, at its last checkpoint where it has one."
    if status == -signal.SIGKILL:
        return "Its worker was killed, most likely because memory ran out.", hint
    if status is not None and status < 0:
        return f"Its worker was ended by {signal.Signals(-status).name}.", hint
    if status == 1:
        return "Its end could not be saved, most likely because the disk is full.", hint
    return "Its worker is gone: it was killed, or the machine was restarted.", hint


def main(arguments: list[str]) -> int:
    """Be the supervisor of the workspace at `arguments[0]`, unless there is one."""
    workspace = Workspace(Path(arguments[0])).prepare()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while (lock := hold(workspace.supervisor_lock)) is not None:
        supervisor = Supervisor(workspace, load_settings().jobs)
        supervisor.run()
        os.close(lock)
        # What was submitted while this one still held the lock has been left to it.
        if not supervisor.needed():
            break
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EngineError as error:
        log_line(str(error))
        sys.exit(1)
