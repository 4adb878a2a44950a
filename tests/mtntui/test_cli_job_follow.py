"""`mtntui jobs watch`, `jobs run`, `jobs logs --follow`: starting and following real jobs."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_program import PROGRAM, ROOT, mtntui, program_environment, the_rest
from job_workspace import DRILL, JobPlace, job_place
from pty_program import PtyProgram

from engine.store.database import now
from engine.store.jobs import Point

ENVIRONMENT = {"PYTHONPATH": f"{ROOT}{os.pathsep}{DRILL}"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobPlace]:
    with job_place(tmp_path / "home", monkeypatch) as place:
        yield place


def jobs(place: JobPlace, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return mtntui(place.workspace.home, "jobs", *arguments, env=ENVIRONMENT)


def started(place: JobPlace, *arguments: str) -> "subprocess.Popen[str]":
    command = [*PROGRAM, "jobs", *arguments]
    env = program_environment(place.workspace.home, ENVIRONMENT)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_job_is_run_and_followed_in_plain_lines(place: JobPlace) -> None:
    done = jobs(place, "run", "drill", "--set", "name=x", "--set", "steps=5", "--set", "made=tiny")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"Drill x \([0-9a-f]{8}\)", lines[0])
    assert re.fullmatch(r"succeeded after 0:0\d", lines[-2]) and lines[-1] == "made the model tiny"


def test_a_job_that_fails_says_why_and_the_status_tells(place: JobPlace) -> None:
    done = jobs(place, "run", "drill", "--set", "steps=1", "--set", "error=It broke.")
    assert (done.returncode, done.stderr) == (1, "It broke.\nMend it.\n")
    assert "failed after" in done.stdout


def test_a_job_that_is_cancelled_from_elsewhere_ends_the_watching_with_130(place: JobPlace) -> None:
    job = place.drill(steps=10_000).id
    watcher = started(place, "watch", job[:8], "--json")
    assert watcher.stdout is not None
    place.running(job)
    assert jobs(place, "cancel", job).returncode == 0
    rest = events(the_rest(watcher)[0])
    assert watcher.returncode == 130
    assert (rest[-1]["event"], rest[-1]["job"]["state"]) == ("end", "cancelled")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_following_alone(place: JobPlace, number: signal.Signals) -> None:
    job = place.drill(steps=10_000).id
    place.running(job)
    watcher = started(place, "watch", job)
    assert watcher.stdout is not None
    watcher.stdout.readline()
    watcher.send_signal(number)
    _, said = the_rest(watcher)
    assert watcher.returncode == (3 if number == signal.SIGINT else 143)
    assert (
        said
        == f"The job goes on without you. `mtntui jobs watch {job[:8]}` follows it, `mtntui jobs cancel {job[:8]}` ends it.\n"
    )
    assert place.jobs.get(job).state == "running"


def test_json_tells_every_line_and_every_point_once(place: JobPlace) -> None:
    job = place.drill(steps=100, pause=0.01).id
    place.until(job, lambda _: len(place.jobs.metrics(job, "loss")) > 20)
    place.jobs.record(job, lines=[(now(), "before")])
    watcher = started(place, "watch", job, "--json")
    assert watcher.stdout is not None
    first = watcher.stdout.readline()
    place.jobs.record(job, progress=("drilling", 3, 10, "holes"), lines=[(now(), "while")])
    told = events(first + the_rest(watcher)[0])
    assert watcher.returncode == 0
    assert [event["step"] for event in told if event["event"] == "metric" and event["name"] == "loss"] == list(range(100))
    assert [event["line"] for event in told if event["event"] == "log"] == ["before", "while"]
    assert [event["state"] for event in told if event["event"] == "state"][-1] == "succeeded"
    progress = next(event for event in told if event["event"] == "progress")
    assert (progress["phase"], progress["done"], progress["total"], progress["unit"]) == ("drilling", 3, 10, "holes")
    assert told[-1]["job"]["result"] == {"steps": 100}


def test_what_a_resumed_job_does_again_is_told_again_and_the_watching_goes_on(place: JobPlace) -> None:
    job = place.drill(steps=150, pause=0.02, policy="resume").id
    watcher = started(place, "watch", job, "--json")
    place.until(job, lambda _: len(place.jobs.metrics(job, "loss")) > 70)
    worker = place.jobs.get(job).process
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    told = events(the_rest(watcher)[0])
    assert watcher.returncode == 0
    steps = [event["step"] for event in told if event["event"] == "metric" and event["name"] == "loss"]
    fall = next(at for at in range(1, len(steps)) if steps[at] < steps[at - 1])
    assert steps[:fall] == list(range(fall)) and steps[fall:] == list(range(steps[fall], 150))
    assert {event["attempts"] for event in told if event["event"] == "state"} >= {1, 2}


@pytest.mark.parametrize("columns", [60, 120])
def test_a_terminal_shows_a_bar_with_the_log_above_it_and_nothing_of_it_stays(place: JobPlace, columns: int) -> None:
    job = place.drill(steps=10_000).id
    place.running(job)
    env = program_environment(place.workspace.home, ENVIRONMENT)
    with PtyProgram([*PROGRAM, "jobs", "watch", job], columns=columns, rows=30, env=env) as program:
        program.wait_for("starting")
        program.wait_for("loss")
        place.jobs.record(job, progress=("drilling", 10, 40, "holes"), lines=[(now(), "a line \x1b]0;owned\x07")])
        place.jobs.record(job, points=[Point(f"a long name {number}", 1, 1.0, 1.0) for number in range(9)])
        program.wait_for("10 of 40 holes")
        program.wait_for("━━━")
        program.wait_for("a line")
        assert b"\x1b]0;" not in program.output
        rows = program.text().splitlines()
        at = {what: next(n for n, row in enumerate(rows) if what in row) for what in ("Drill one", "a line", "drilling", "loss")}
        assert list(at.values()) == sorted(at.values())
        place.jobs.record(job, progress=("drilling", 30, 40, "holes"))
        program.wait_for("30 of 40 holes")
        program.wait_for("…")
        program.send("\x03")
        assert program.wait() == 3
        text = program.text()
        assert "goes on without you" in text and "drilling" not in text and "━" not in text
    assert place.jobs.get(job).state == "running"


def test_a_job_that_waits_says_for_what(place: JobPlace) -> None:
    first = place.drill("first", steps=10_000).id
    place.running(first)
    waiting = place.drill("second", parent=first).id
    watcher = started(place, "watch", waiting)
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == f"Drill second ({waiting[:8]})\n"
    assert watcher.stdout.readline() == "waits for Drill first to succeed\n"
    jobs(place, "cancel", first)
    out, error = the_rest(watcher)
    assert (watcher.returncode, out) == (130, "cancelled\n")
    assert error.startswith(f"The job before it, {first}, was cancelled.")


def test_a_chain_is_submitted_with_after_and_into(place: JobPlace) -> None:
    done = jobs(place, "run", "drill", "--set", "made=the-model", "--set", "steps=1", "--detach")
    first = done.stdout.strip()
    assert done.returncode == 0 and f"mtntui jobs watch {first[:8]}" in done.stderr
    done = jobs(place, "run", "drill", "--after", first[:8], "--into", "name", "--policy", "resume", "--detach", "--json")
    second = json.loads(done.stdout)
    assert (second["parent"], second["argument"], second["policy"]) == (first, "name", "resume")
    assert jobs(place, "watch", second["id"]).returncode == 0
    assert place.jobs.get(second["id"]).config["name"] == "the-model"


def test_the_log_is_followed_until_the_job_ends(place: JobPlace) -> None:
    job = place.drill(steps=60).id
    place.running(job)
    place.jobs.record(job, lines=[(now(), "one")])
    follower = started(place, "logs", job, "--follow")
    assert follower.stdout is not None
    assert follower.stdout.readline().endswith("  one\n")
    place.jobs.record(job, lines=[(now(), "two")])
    assert the_rest(follower)[0].endswith("  two\n")
    assert follower.returncode == 0 and place.jobs.get(job).state == "succeeded"


def test_output_is_followed_until_the_job_ends(place: JobPlace) -> None:
    job = place.drill(steps=100, prints_mb=2, error="Broken.").id
    place.running(job)
    done = jobs(place, "logs", job, "--output", "--follow")
    assert done.returncode == 0
    assert done.stdout.count("x") >= 2 << 20 and "EngineError" in done.stdout
    assert done.stdout == place.queue.output(job).read_text()


def test_a_job_that_is_removed_meanwhile_ends_the_watching_with_a_sentence(place: JobPlace) -> None:
    job = place.drill(steps=10_000).id
    place.running(job)
    watcher = started(place, "watch", job)
    assert watcher.stdout is not None
    watcher.stdout.readline()
    with place.database.transaction() as connection:  # as cancel and remove between two looks do
        connection.execute("DELETE FROM jobs WHERE id = ?", (job,))
    assert the_rest(watcher)[1].startswith(f"The job {job} was removed meanwhile.")
    assert watcher.returncode == 1


def test_a_supervisor_that_was_killed_is_replaced_by_who_watches(place: JobPlace) -> None:
    blocker, waiting = place.drill(steps=10_000).id, place.drill("waiting", steps=1).id
    worker = place.running(blocker).process
    watcher = started(place, "watch", waiting)
    supervisor = place.supervisor()
    assert supervisor is not None and worker is not None
    assert watcher.stdout is not None
    watcher.stdout.readline()
    os.kill(supervisor, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)  # which would have replaced the supervisor too
    deadline = time.monotonic() + 20
    while watcher.poll() is None and time.monotonic() < deadline:  # nobody but the watcher looks
        time.sleep(0.1)
    assert watcher.returncode == 0
    the_rest(watcher)
