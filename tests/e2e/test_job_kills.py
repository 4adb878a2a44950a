"""A hundred kills at random moments: every job comes to a true end, none runs twice, none is forgotten."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from job_workspace import JobPlace, job_place

from engine.store.jobs import JobRecord

KILLS = 100
_TERMINAL = """
import time
from engine.jobs.queue import JobQueue
from engine.settings import load_settings
from engine.store.database import Database
settings = load_settings()
queue = JobQueue(settings, Database(settings.workspace.database))
while True:
    queue.wake()
    time.sleep(0.2)
"""


class _Terminals:
    """A program that looks at the jobs now and then, as the screen does; a new one when it was killed."""

    def __init__(self) -> None:
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", _TERMINAL])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._start()


def _kill(place: JobPlace, terminal: _Terminals, victims: tuple[str, ...]) -> int:
    """Kill these; returns how many were there."""
    killed = 0
    for victim in victims:
        if victim == "terminal":
            terminal.kill()
            killed += 1
            continue
        for process in place.processes(f"engine.jobs.{victim}")[:1]:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
    return killed


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_hundred_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    kinds = [
        ("terminal",),
        ("supervisor",),
        ("worker",),
        ("terminal", "supervisor"),
        ("terminal", "worker"),
        ("supervisor", "worker"),
    ]
    with job_place(tmp_path / "home", monkeypatch) as place:
        terminal = _Terminals()
        try:
            jobs: list[JobRecord] = []
            kills = 0
            deadline = time.monotonic() + 300
            while kills < KILLS:
                assert time.monotonic() < deadline, f"only {kills} kills in time"
                while len(place.jobs.moving()) < 6:  # something to kill
                    number, policy = len(jobs), chance.choice(["ask", "resume"])
                    kind = "drill" if number % 2 else "fetch drill"
                    jobs.append(place.drill(str(number), steps=60, children=number % 2, policy=policy, kind=kind))
                time.sleep(chance.uniform(0, 0.3))
                kills += _kill(place, terminal, chance.choice(kinds))
                for job in jobs:  # a user who does not give up
                    if place.jobs.get(job.id).state == "interrupted":
                        place.queue.resume(job.id)
            ended = time.monotonic()
            while place.jobs.moving():
                assert time.monotonic() - ended < 120, f"seed {seed}: {place.jobs.unfinished()}"
                time.sleep(0.1)
            for job in jobs:
                while place.jobs.get(job.id).state == "interrupted":
                    place.queue.resume(job.id)
                    place.ended(job.id, 30)
        finally:
            terminal.process.kill()
            terminal.process.wait()
        ends = [place.jobs.get(job.id) for job in jobs]
        attempts = sum(end.attempts for end in ends)
        with capsys.disabled():
            print(f"\n{kills} kills (seed {seed}), {len(jobs)} jobs, {attempts} attempts")
        assert {end.state for end in ends} == {"succeeded"}, f"seed {seed}: {ends}"
        assert not [job.id for job in jobs if (place.queue.folder(job.id) / "twice").exists()], f"seed {seed}"
        for job in jobs:
            assert [point.step for point in place.jobs.metrics(job.id, "loss")] == list(range(60)), f"seed {seed}: {job.id}"
        assert not place.orphans(), f"seed {seed}"


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("victims", [("worker",), ("supervisor", "worker"), ("terminal", "worker")])
def test_an_interruption_is_on_record_within_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victims: tuple[str, ...]
) -> None:
    with job_place(tmp_path / "home", monkeypatch) as place:
        terminal = _Terminals()
        try:
            job = place.drill(steps=2000)
            place.running(job.id)
            began = time.monotonic()
            assert _kill(place, terminal, victims) == len(victims)
            while place.jobs.get(job.id).state != "interrupted":
                assert time.monotonic() - began < 10
                time.sleep(0.02)
        finally:
            terminal.process.kill()
            terminal.process.wait()
