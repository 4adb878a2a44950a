"""Jobs, with real supervisors and workers: what becomes of them, whatever is done to their processes."""

import os
import signal
import subprocess
import sys
import time

import pytest
from job_workspace import job_place

from engine.errors import InvalidInputError, NotFoundError
from engine.processes import alive, held, mark_of

pytestmark = pytest.mark.slow


def test_a_job_runs_tells_and_ends(place) -> None:
    began = time.monotonic()
    job = place.drill(steps=30, made="thing")
    place.running(job.id)
    assert time.monotonic() - began < 5
    done = place.ended(job.id)
    assert (done.state, done.result, done.attempts, done.process, done.error) == ("succeeded", {"steps": 30}, 1, None, "")
    assert [point.step for point in place.jobs.metrics(job.id, "loss")] == list(range(30))
    assert place.jobs.metrics(job.id, "loss")[9].value == 0.1
    assert [(one.kind, one.name) for one in place.jobs.artefacts(job.id)] == [("model", "thing")]
    assert done.seconds >= 0.5
    place.until(job.id, lambda _: not place.orphans())


def test_the_supervisor_is_one_and_ends_when_nothing_is_left(place) -> None:
    for number in range(3):
        place.drill(str(number), steps=1)
    for job in place.jobs.browse():
        place.ended(job.id)
    assert len(place.processes("engine.jobs.supervisor")) == 1
    deadline = time.monotonic() + 12
    while held(place.workspace.supervisor_lock):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    again = place.drill(steps=1)
    assert place.ended(again.id).state == "succeeded"


def test_one_after_the_other_and_network_jobs_beside(place) -> None:
    first, second = place.drill("first", steps=60), place.drill("second", steps=1)
    beside = place.drill("beside", steps=1, kind="fetch drill")
    assert place.ended(beside.id).state == "succeeded"
    assert (place.jobs.get(first.id).state, place.jobs.get(second.id).state) == ("running", "queued")
    assert place.ended(second.id).started_at >= place.ended(first.id).ended_at


def test_cancelling_stops_at_a_safe_point_and_resuming_goes_on(place) -> None:
    job = place.drill(steps=150)
    place.until(job.id, lambda record: place.jobs.metrics(record.id, "loss"))
    assert place.queue.cancel(job.id).state == "stopping"
    assert place.ended(job.id).state == "cancelled"
    reached = len(place.jobs.metrics(job.id, "loss"))
    assert 0 < reached < 150
    assert place.queue.resume(job.id).state == "queued"
    done = place.ended(job.id)
    assert (done.state, done.attempts) == ("succeeded", 2)
    assert [point.step for point in place.jobs.metrics(job.id, "loss")] == list(range(150))


def test_one_that_waits_is_cancelled_at_once_with_what_follows_it(place) -> None:
    running = place.drill(steps=100)
    place.running(running.id)
    waiting = place.drill("waiting")
    after = place.drill("after", parent=waiting.id)
    assert place.queue.cancel(waiting.id).state == "cancelled"
    followed = place.jobs.get(after.id)
    assert (followed.state, followed.error) == ("cancelled", f"The job before it, {waiting.id}, was cancelled.")
    with pytest.raises(InvalidInputError, match="Resume that one first"):
        place.queue.resume(after.id)
    place.queue.cancel(running.id)
    assert place.ended(running.id).state == "cancelled"


def test_a_job_that_does_not_listen_is_ended_with_all_its_processes(place, monkeypatch) -> None:
    monkeypatch.setenv("MTNTUI_JOBS_GRACE_SECONDS", "0.5")
    job = place.drill(steps=10_000, deaf=True, children=3)
    place.until(job.id, lambda record: place.jobs.metrics(record.id, "loss"))
    assert len(place.orphans()) == 4
    place.queue.cancel(job.id)
    done = place.ended(job.id)
    assert (done.state, done.error) == ("cancelled", "It did not stop within 0.5 s and was ended.")
    assert not place.orphans()


def test_children_that_a_job_leaves_behind_are_ended(place) -> None:
    job = place.drill(steps=1, children=2)
    assert place.ended(job.id).state == "succeeded"
    place.until(job.id, lambda _: not place.orphans())


@pytest.mark.parametrize(("policy", "state"), [("ask", "interrupted"), ("resume", "running")])
def test_a_worker_that_is_killed_is_noticed(place, policy: str, state: str) -> None:
    job = place.drill(steps=200, children=1, policy=policy)
    worker = place.until(job.id, lambda record: place.jobs.metrics(record.id, "loss")).process
    os.kill(worker, signal.SIGKILL)
    killed = time.monotonic()
    again = place.until(job.id, lambda record: record.state == state and record.process != worker)
    assert time.monotonic() - killed < 10
    if policy == "ask":
        assert again.error == "Its worker was killed, most likely because memory ran out."
        assert not place.orphans()
        place.queue.resume(job.id)
    done = place.ended(job.id)
    assert (done.state, done.attempts) == ("succeeded", 2)
    assert [point.step for point in place.jobs.metrics(job.id, "loss")] == list(range(200))
    assert not (place.queue.folder(job.id) / "twice").exists()


def test_a_supervisor_that_is_killed_is_replaced_by_the_worker_itself(place) -> None:
    job = place.drill(steps=150)
    after = place.drill("after", steps=1, parent=job.id)
    place.running(job.id)
    first = place.supervisor()
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while place.jobs.get(after.id).state != "succeeded":  # nobody but the worker looks after it
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert place.jobs.get(job.id).attempts == 1


def test_a_chain_hands_on_what_was_made(place) -> None:
    first = place.drill("first", steps=1, made="a model")
    second = place.drill("", steps=1, parent=first.id, argument="name")
    done = place.ended(second.id)
    assert (done.state, done.config["name"], done.parent) == ("succeeded", "a model", first.id)
    barren = place.drill("barren", steps=1)
    third = place.drill("", parent=barren.id, argument="name")
    failed = place.ended(third.id)
    assert (failed.state, failed.error) == (
        "failed",
        f"The job before this one, {barren.id}, made nothing to take as name.",
    )


def test_what_waits_for_an_interrupted_job_goes_on_when_that_is_resumed(place) -> None:
    job = place.drill(steps=100)
    after = place.drill("after", steps=1, parent=job.id)
    os.kill(place.running(job.id).process, signal.SIGKILL)
    assert place.ended(job.id).state == "interrupted"
    assert place.jobs.get(after.id).state == "queued"
    assert not place.jobs.moving(), "nobody has to see to it"
    place.queue.resume(job.id)
    assert place.ended(after.id).state == "succeeded"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"error": "The disk burnt."}, "The disk burnt."),
        ({"crash": True}, "Its worker was ended by SIGSEGV."),
    ],
)
def test_what_goes_wrong_is_said(place, fields: dict[str, object], error: str) -> None:
    job = place.drill(steps=1, **fields)
    done = place.ended(job.id)
    assert done.state == ("interrupted" if "crash" in fields else "failed")
    assert done.error == error


def test_a_configuration_that_no_longer_validates_fails_with_its_field(place) -> None:
    running = place.drill(steps=60)
    job = place.drill("later")
    place.jobs.set_config(job.id, {"name": "later", "steps": -5})
    done = place.ended(job.id)
    assert done.state == "failed"
    assert "steps: input should be greater than or equal to 0 (it is -5)" in done.error
    with pytest.raises(InvalidInputError, match="steps: input should be greater"):
        place.queue.resume(job.id)
    assert place.queue.resume(job.id, {"steps": 1}).state == "queued"
    assert place.ended(job.id).state == "succeeded"
    assert place.ended(running.id).state == "succeeded"


def test_what_cannot_be_submitted_is_refused(place) -> None:
    with pytest.raises(InvalidInputError, match="no kind of job named 'nix'"):
        place.queue.submit("nix", {})
    with pytest.raises(InvalidInputError, match=r"stepz: extra inputs|steps: input should be a valid integer"):
        place.drill(steps="many")
    with pytest.raises(NotFoundError):
        place.drill(parent="000000000000")
    assert place.jobs.browse() == []


def test_a_stale_process_number_is_not_taken_for_the_worker(place) -> None:
    """As after a restart of the machine: the number belongs to somebody else, who must not be harmed."""
    job = place.jobs.add("drill", "Drill", {"name": "x"}, "processor")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        place.jobs.claim(job.id, other.pid, "another boot:12345", 1)
        assert place.ended(job.id).state == "interrupted"
        assert other.poll() is None
        assert alive(other.pid, mark_of(other.pid))
        other.kill()


def test_a_gigabyte_of_output_is_kept_short(place) -> None:
    job = place.drill(steps=30, pause=0.1, prints_mb=300)
    done = place.ended(job.id, seconds=60)
    assert done.state == "succeeded"
    output = place.queue.output(job.id)
    deadline = time.monotonic() + 5
    while output.stat().st_size > 20 << 20:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert output.read_bytes().startswith("[… earlier output was dropped".encode())


def test_two_terminals_that_submit_and_cancel_at_once(place) -> None:
    code = """
import os, random, sys
from engine.jobs.queue import JobQueue
from engine.settings import load_settings
from engine.store.database import Database
settings = load_settings()
queue = JobQueue(settings, Database(settings.workspace.database))
for number in range(15):
    job = queue.submit("fetch drill", {"name": sys.argv[1] + str(number), "steps": 3})
    if number % 3 == 0:
        queue.cancel(job.id)
"""
    terminals = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]
    assert [terminal.wait(60) for terminal in terminals] == [0, 0]
    jobs = place.jobs.browse()
    assert len(jobs) == 30
    ends = [place.ended(job.id, 60) for job in jobs]
    assert {end.state for end in ends} == {"succeeded", "cancelled"}
    assert all(end.attempts <= 1 for end in ends)
    assert not any((place.queue.folder(job.id) / "twice").exists() for job in jobs)
    assert len(place.processes("engine.jobs.supervisor")) <= 1


def test_removing_takes_the_folder_and_nothing_that_is_needed(place) -> None:
    job = place.drill(steps=40)
    after = place.drill("after", steps=1, parent=job.id)
    place.running(job.id)
    with pytest.raises(InvalidInputError, match="Cancel it first"):
        place.queue.remove(job.id)
    place.ended(after.id)
    place.queue.remove(job.id)
    assert not place.queue.folder(job.id).exists()
    assert place.jobs.get(after.id).parent is None
    with pytest.raises(NotFoundError):
        place.jobs.get(job.id)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_job_that_fills_the_disk_fails_and_says_so(tmp_path, monkeypatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode()}")
    try:
        with job_place(disk / "home", monkeypatch) as place:
            job = place.drill(fills=True)
            done = place.ended(job.id)
            assert done.state == "failed"
            assert "No space left on device" in done.error
            (place.queue.folder(job.id) / "large").unlink()
            after = place.drill("after", steps=1)
            assert place.ended(after.id).state == "succeeded"
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def test_a_worker_that_cannot_start_is_said(place, monkeypatch, tmp_path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text("import sys, os\nif 'engine.jobs.worker' in ' '.join(sys.orig_argv): os._exit(9)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken), os.environ["PYTHONPATH"]]))
    job = place.drill()
    done = place.ended(job.id)
    assert (done.state, done.attempts) == ("failed", 1)
    assert done.error.startswith("Its worker could not be started")
