"""Jobs: how soon one runs, how long ten thousand take to list, what it costs to watch a busy one.

python benchmarks/jobs.py [--quick] [--json] [--rounds N]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import checkout
import pytest
from harness import Goal, Row, compare, give_up, parse_options, say, show
from job_workspace import JobPlace, job_place
from programs import cpu_seconds, ours, paint, run_time, running
from pty_program import PtyProgram
from stores import new_store

MANY = 10_000
_JOBS_KEY = "\x14"  # ctrl+t
_POINTS = 1000
_ECHO_SECONDS = 0.05


def main() -> None:
    """Measure, print."""
    options = parse_options("Jobs.", rounds=5, quick_rounds=3)
    rows = [*start_rows(options.rounds), *list_rows(options.rounds), *watch_rows(15 if options.quick else 60)]
    show("Jobs", rows, as_json=options.json)


@contextmanager
def _place() -> Iterator[JobPlace]:
    with tempfile.TemporaryDirectory(prefix="mtntui-bench-") as folder, pytest.MonkeyPatch.context() as patch:
        new_store(Path(folder) / "home")
        with job_place(Path(folder) / "home", patch) as place:
            yield place


def start_rows(rounds: int) -> list[Row]:
    """From submitting a trivial job until a worker has begun it: when no supervisor runs, and when one does."""
    cold, warm = [], []
    say("submitting jobs")
    for _ in range(rounds):
        with _place() as place:
            cold.append(_submit(place))
            warm.append(_submit(place))
    goal = Goal(limit=0.5)
    return [
        compare("submit to running, nothing running before", cold, unit="s", better="lower", goal=goal),
        compare("submit to running, a supervisor running", warm, unit="s", better="lower", goal=goal),
    ]


def _submit(place: JobPlace) -> float:
    began = time.monotonic()
    job = place.drill(steps=0)
    while place.jobs.get(job.id).started_at is None:
        time.sleep(0.002)
    seconds = time.monotonic() - began
    place.ended(job.id)
    return seconds


def list_rows(rounds: int) -> list[Row]:
    """Ten thousand finished jobs: a page of them from the store, and the whole command that lists them."""
    say(f"storing {MANY:,} jobs")
    with _place() as place:
        with place.database.transaction() as connection:
            for number in range(MANY):
                connection.execute(
                    "INSERT INTO jobs (id, kind, title, config, state, resource, created_at, started_at, ended_at)"
                    " VALUES (?, 'export', ?, '{}', 'succeeded', 'processor', ?, ?, ?)",
                    (f"{number:012x}", f"Export model number {number}", *[f"2026-01-01T00:00:00.{number % 1000:03}+00:00"] * 3),
                )
        store, command, painted = [], [], []
        for _ in range(rounds):
            began = time.perf_counter()
            place.jobs.browse(limit=100)
            place.jobs.count()
            store.append(1000 * (time.perf_counter() - began))
            words = [sys.executable, "-m", "mtntui", "jobs", "list", "--limit", "100"]
            command.append(1000 * run_time(words, {"MTNTUI_HOME": str(place.workspace.home), "PYTHONPATH": str(checkout.ROOT)}))
            painted.append(1000 * _list_painted(place))
    goal = Goal(limit=100)
    return [
        compare(f"a page of {MANY:,} jobs from the store", store, unit="ms", better="lower", goal=goal),
        compare(f"`jobs list` of {MANY:,} jobs, the whole command", command, unit="ms", better="lower"),
        compare(f"a screen of {MANY:,} jobs, key to painted", painted, unit="ms", better="lower", goal=goal),
    ]


def _list_painted(place: JobPlace) -> float:
    """Seconds from the key to the painted list, its code loaded by an earlier visit."""
    program = ours(place.workspace.home)
    with running(program) as terminal:
        paint(program, terminal)
        for last in (False, True):
            terminal.wait_until_quiet(0.5)
            began, before = time.monotonic(), len(terminal.chunks)
            terminal.send(_JOBS_KEY)
            if not last:
                terminal.wait_for("Export model number", timeout=20)
                terminal.wait_until_quiet(0.5)
                terminal.send(_JOBS_KEY)
                continue
            deadline = began + 20
            while not any(b"Export" in data for _, data in terminal.chunks[before:]):
                if time.monotonic() > deadline:
                    give_up(f"the list did not come; the screen:\n{terminal.text()}")
                time.sleep(0.002)
            return next(moment for moment, data in terminal.chunks[before:] if b"Export" in data) - began
    raise AssertionError


def watch_rows(seconds: int) -> list[Row]:
    """A job that tells a thousand points a second, watched on the screen for a while, with keys pressed meanwhile."""
    say(f"watching a job for {seconds} s")
    with _place() as place:
        job = place.drill("busy", steps=_POINTS * (seconds + 12), rate=_POINTS)
        place.running(job.id)
        program = ours(place.workspace.home)
        with running(program) as terminal:
            paint(program, terminal)
            terminal.send(_JOBS_KEY)
            terminal.wait_for("busy", timeout=20)
            terminal.send("\r2")  # its details, and of those the curves
            terminal.wait_for("loss", timeout=20)
            time.sleep(2)
            before, began = cpu_seconds(terminal.process.pid), time.monotonic()
            points = len(place.jobs.metrics(job.id, "loss"))
            time.sleep(seconds)
            spent = time.monotonic() - began
            share = 100 * (cpu_seconds(terminal.process.pid) - before) / spent
            rate = (len(place.jobs.metrics(job.id, "loss")) - points) / spent
            echoes = _echoes(terminal)
        place.queue.cancel(job.id)
    if rate < 0.9 * _POINTS:
        give_up(f"the job told only {rate:.0f} points a second")
    return [
        compare(
            "the screen while a job tells 1,000 points a second", [share], unit="% of a core", better="lower", goal=Goal(limit=15)
        ),
        compare(
            "keys answered within 50 ms meanwhile",
            [100 * sum(echo <= _ECHO_SECONDS for echo in echoes) / len(echoes)],
            unit="%",
            better="higher",
            goal=Goal(limit=95),
        ),
        compare("key to answer meanwhile, median", [1000 * median(echoes)], unit="ms", better="lower"),
    ]


def _echoes(terminal: PtyProgram) -> list[float]:
    """Seconds from a key to its page: the overview and the curves in turn."""
    found = []
    for number in range(20):
        key, sign = ("2", b"loss") if number % 2 else ("1", b"Submitted")
        before, began = len(terminal.chunks), time.monotonic()
        terminal.send(key)
        while not any(sign in data for _, data in terminal.chunks[before:]) and time.monotonic() < began + 2:
            time.sleep(0.001)
        found.append(next((moment for moment, data in terminal.chunks[before:] if sign in data), float("inf")) - began)
        time.sleep(0.3)
    return found


if __name__ == "__main__":
    main()
