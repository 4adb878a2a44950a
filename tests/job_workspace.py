"""A workspace in which drills can be run as jobs."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from engine.jobs.queue import JobQueue
from engine.processes import JOB_VARIABLE
from engine.settings import JobSettings, Settings
from engine.store.database import Database
from engine.store.jobs import JobRecord

DRILL = Path(__file__).parent / "job_drill"


class JobPlace:
    """The queue of a workspace, and the processes that see to it."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=str(home), jobs=JobSettings())
        self.workspace = self.settings.workspace.prepare()
        self.database = Database(self.workspace.database)
        self.queue = JobQueue(self.settings, self.database)
        self.jobs = self.queue.jobs

    def drill(self, name: str = "one", **fields: object) -> JobRecord:
        chain = {key: fields.pop(key) for key in ("parent", "argument", "policy") if key in fields}
        return self.queue.submit(str(fields.pop("kind", "drill")), {"name": name, **fields}, **chain)  # type: ignore[arg-type]

    def until(self, job: str, holds: Callable[[JobRecord], object], seconds: float = 20) -> JobRecord:
        """Wait for a job as a terminal does, which sees to it that there is a supervisor."""
        deadline = time.monotonic() + seconds
        while not holds(record := self.jobs.get(job)):
            assert time.monotonic() < deadline, f"it did not come to pass: {record}"
            self.queue.wake()
            time.sleep(0.02)
        return record

    def ended(self, job: str, seconds: float = 20) -> JobRecord:
        return self.until(job, lambda record: record.finished, seconds)

    def running(self, job: str) -> JobRecord:
        return self.until(job, lambda record: record.state == "running")

    def supervisor(self) -> int | None:
        """The process that supervises, if one does."""
        return next((process.pid for process in self.processes("engine.jobs.supervisor")), None)

    def processes(self, module: str) -> list[psutil.Process]:
        """The workspace's processes that run a module."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if module in words and str(self.workspace.home) in words and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def orphans(self) -> list[int]:
        """Processes that jobs of this workspace have left."""
        ours = {job.id for job in self.jobs.browse(limit=10_000)}
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(JOB_VARIABLE) in ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    def close(self) -> None:
        for process in [*self.processes("engine.jobs.supervisor"), *self.processes("engine.jobs.worker")]:
            process.kill()
        for orphan in self.orphans():
            os.kill(orphan, signal.SIGKILL)
        self.database.close()


@contextmanager
def job_place(home: Path, patch: object) -> Iterator[JobPlace]:
    """A workspace whose jobs may be drills; nothing of it runs any more at the end.

    Args:
        patch: pytest's `monkeypatch`.
    """
    from engine.jobs import kinds

    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(DRILL), os.environ.get("PYTHONPATH", "")])))  # type: ignore[attr-defined]
    patch.syspath_prepend(str(DRILL))  # type: ignore[attr-defined]
    patch.setenv("MTNTUI_HOME", str(home))  # type: ignore[attr-defined]
    for name in ("drill", "fetch drill"):
        resource = "network" if name == "fetch drill" else "processor"
        kind = kinds.Kind(name, "Drill", "Drill {name}", resource, "drill:DrillConfig", "drill:run", "model")
        patch.setitem(kinds.KINDS, name, kind)  # type: ignore[attr-defined]
    place = JobPlace(home)
    try:
        yield place
    finally:
        place.close()
