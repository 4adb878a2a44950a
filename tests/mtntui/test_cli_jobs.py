"""`mtntui jobs list`, `show`, `logs`, `cancel`, `resume`, `remove`: what stands on record, and what can be done to it."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from cli_program import PROGRAM, mtntui, mtntui_json, program_environment
from pty_program import PtyProgram

from engine.processes import mark_of
from engine.store.database import Database, now
from engine.store.jobs import Artefact, Jobs, Point, State
from engine.workspace import Workspace
from mtntui.cli.job_help import JOB_FIELDS, SHOW_FIELDS, STATES
from mtntui.cli.job_logs import OutputTail

HOSTILE = "\x1b]0;owned\x07[red]x[/]\u202e"


class Records:
    """Jobs as they stand in the store; a process that sleeps is the worker of those that run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = Database(Workspace(home).prepare().database)
        self.jobs = Jobs(self.database)
        self.worker = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)

    def running(self, title: str = "Export tiny as int4", **options: object) -> str:
        time.sleep(0.002)  # the order of jobs is that of milliseconds
        config = {"model": "tiny", "precision": "int4"}
        job = self.jobs.add("export", title, config, "processor", **options)  # type: ignore[arg-type]
        assert self.jobs.claim(job.id, self.worker.pid, mark_of(self.worker.pid), 100)
        return job.id

    def ended(self, state: State, title: str = "Export tiny as int4", **options: object) -> str:
        identifier = self.running(title)
        assert self.jobs.end(identifier, state, **options)  # type: ignore[arg-type]
        return identifier

    def close(self) -> None:
        for job in self.jobs.unfinished():  # so that a supervisor that was started has nothing to do
            if job.state == "queued":
                self.jobs.request_stop(job.id)
            else:
                self.jobs.end(job.id, "cancelled")
        self.database.close()
        self.worker.kill()
        self.worker.wait()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = Records(tmp_path / "home")
    yield records
    records.close()


def documented(*texts: str) -> set[str]:
    return set(re.findall(r"\w+", re.sub(r"[\[{(].*?[\]})]+", "", " ".join(texts))))


def test_an_empty_workspace_says_how_to_begin(tmp_path: Path) -> None:
    done = mtntui(tmp_path / "home", "jobs", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "mtntui jobs kinds" in done.stderr
    assert mtntui_json(tmp_path / "home", "jobs", "list") == []


def test_the_states_are_those_of_the_store() -> None:
    assert get_args(State) == STATES


def test_the_newest_job_is_listed_first_with_how_far_it_is(records: Records) -> None:
    old = records.ended("succeeded", "Export old as int4")
    new = records.running("Export new as int8")
    records.jobs.record(new, seconds=60, progress=("quantising", 25, 100, "layers"))
    table = [line.split("  ") for line in mtntui(records.home, "jobs", "list").stdout.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in table]
    assert rows[0] == ["ID", "TITLE", "STATE", "PROGRESS", "ELAPSED", "LEFT", "SUBMITTED"]
    assert rows[1][:6] == [new[:8], "Export new as int8", "running", "25 %", "1:00", "3:00"]
    assert rows[2][:3] == [old[:8], "Export old as int4", "succeeded"]
    listed = mtntui_json(records.home, "jobs", "list")
    assert [job["id"] for job in listed] == [new, old]
    assert listed[0].keys() == documented(JOB_FIELDS)
    assert (listed[0]["state"], listed[0]["done"], listed[0]["eta_seconds"]) == ("running", 25, 180)


def test_a_list_can_be_of_some_states_and_of_some_length(records: Records) -> None:
    failed, cancelled, done = (records.ended(state) for state in ("failed", "cancelled", "succeeded"))  # type: ignore[arg-type]
    some = mtntui_json(records.home, "jobs", "list", "--state", "failed", "--state", "cancelled")
    assert {job["id"] for job in some} == {failed, cancelled}
    assert [job["id"] for job in mtntui_json(records.home, "jobs", "list", "--limit", "1")] == [done]
    assert mtntui(records.home, "jobs", "list", "--state", "interrupted").stderr == "No job is in this state.\n"
    assert mtntui(records.home, "jobs", "list", "--state", "asleep").returncode == 2


def test_all_about_one_job(records: Records) -> None:
    identifier = records.running()
    child = records.jobs.add("export", "Export that", {"model": "-"}, "processor", parent=identifier, argument="model").id
    records.jobs.end(identifier, "interrupted", error="Its worker was killed.", hint="Resume it.")
    points = [Point("loss", step, 1 / (step + 1), step) for step in range(4)]
    made = Artefact("model", "tiny-int4", "/models/tiny-int4")
    records.jobs.record(identifier, seconds=75, progress=("trying", 1, 4, "layers"), points=points, artefacts=[made])
    text = mtntui(records.home, "jobs", "show", identifier[:6]).stdout
    for part in (
        "Its worker was killed.",
        "Resume it.",
        "precision = 'int4'",
        "loss 0.25, step 3",
        child,
        "model tiny-int4",
        "1:15",
    ):
        assert part in text
    shown = mtntui_json(records.home, "jobs", "show", identifier)
    assert shown.keys() == documented(JOB_FIELDS, SHOW_FIELDS)
    assert (shown["state"], shown["error"], shown["hint"]) == ("interrupted", "Its worker was killed.", "Resume it.")
    assert shown["metrics"]["loss"] == {"name": "loss", "step": 3, "value": 0.25, "seconds": 3}
    assert shown["artefacts"] == [{"kind": "model", "name": "tiny-int4", "path": "/models/tiny-int4"}]
    assert shown["children"] == [child] and Path(shown["output"]).parent == Path(shown["folder"])
    assert identifier in mtntui(records.home, "jobs", "show", child).stdout
    assert mtntui_json(records.home, "jobs", "show", child)["parent"] == identifier


def test_a_beginning_that_several_ids_share_is_refused(records: Records) -> None:
    firsts = {}
    while True:  # 17 ids of 16 letters at most
        identifier = records.ended("succeeded")
        if identifier[0] in firsts:
            break
        firsts[identifier[0]] = identifier
    done = mtntui(records.home, "jobs", "show", identifier[0])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Several jobs begin with '{identifier[0]}'.")
    done = mtntui(records.home, "jobs", "show", "zz", "--json")
    assert json.loads(done.stderr)["error"]["code"] == "not_found"


def test_what_waits_is_cancelled_at_once_and_what_runs_is_asked_to_stop(records: Records) -> None:
    running, over = records.running(), records.ended("succeeded")
    waiting = records.jobs.add("export", "Export that", {"model": "-"}, "processor", parent=running).id
    done = mtntui(records.home, "jobs", "cancel", waiting[:8], running[:8], over)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{waiting[:8]} is cancelled: Export that",
        f"{running[:8]} is stopping: Export tiny as int4",
    ]
    assert "is over already (succeeded)" in done.stderr
    assert [job["state"] for job in mtntui_json(records.home, "jobs", "cancel", waiting, over)] == ["cancelled", "succeeded"]


def test_nothing_is_cancelled_when_one_of_the_ids_is_wrong(records: Records) -> None:
    running = records.running()
    assert mtntui(records.home, "jobs", "cancel", running, "zz").returncode == 1
    assert records.jobs.get(running).state == "running"


def test_a_job_is_resumed_with_changes_that_its_configuration_takes(records: Records) -> None:
    blocker = records.running()  # so that the one that is resumed waits for its turn
    identifier = records.ended("failed", error="No.")
    done = mtntui(records.home, "jobs", "resume", identifier, "--set", "precision=int5")
    assert (done.returncode, done.stdout) == (1, "")
    assert "precision: input should be 'int4', 'int8' or 'fp32' (it is 'int5')" in done.stderr
    assert records.jobs.get(identifier).state == "failed"
    done = mtntui(records.home, "jobs", "resume", identifier[:8], "--set", "precision=int8")
    assert done.stdout == f"{identifier[:8]} is in the queue again: Export tiny as int4\n"
    job = records.jobs.get(identifier)
    assert (job.state, job.config) == ("queued", {"model": "tiny", "precision": "int8"})
    done = mtntui(records.home, "jobs", "resume", blocker)
    assert (done.returncode, "is running" in done.stderr) == (1, True)


def test_only_what_is_over_is_removed_and_said_so(records: Records) -> None:
    over, running, last = records.ended("failed"), records.running(), records.ended("cancelled")
    folder = Workspace(records.home).job_folder(over)
    folder.mkdir(parents=True)
    done = mtntui(records.home, "jobs", "remove", over, running, last)
    assert (done.returncode, done.stdout) == (1, f"removed {over[:8]}\n")
    assert "Cancel it first." in done.stderr
    assert not folder.exists() and records.jobs.find(over) is None and records.jobs.find(last) is not None
    assert mtntui_json(records.home, "jobs", "remove", last, last[:8]) == [last]


def test_the_lines_of_a_job(records: Records) -> None:
    identifier = records.ended("succeeded")
    records.jobs.record(identifier, lines=[("2026-01-02T03:04:05.678+00:00", f"line {number}") for number in range(5)])
    lines = mtntui(records.home, "jobs", "logs", identifier, env={"TZ": "UTC"}).stdout.splitlines()
    assert lines == [f"2026-01-02 03:04:05  line {number}" for number in range(5)]
    assert mtntui(records.home, "jobs", "logs", identifier, "-n", "2").stdout.count("\n") == 2
    assert mtntui(records.home, "jobs", "logs", identifier, "-n", "0").stdout == ""
    assert [line["line"] for line in mtntui_json(records.home, "jobs", "logs", identifier, "-n", "1")] == ["line 4"]


def test_output_is_exact_when_piped_and_visible_on_a_terminal(records: Records) -> None:
    identifier = records.ended("failed")
    output = Workspace(records.home).job_folder(identifier) / "output.log"
    output.parent.mkdir(parents=True)
    data = b"one\n\xff\xc3\xa9\x1b]0;owned\x07\ntwo\xc3"
    output.write_bytes(data)
    command = [*PROGRAM, "jobs", "logs", "--output", identifier]
    env = program_environment(records.home)
    assert subprocess.run(command, capture_output=True, env=env, check=True).stdout == data
    assert subprocess.run([*command, "-n", "1"], capture_output=True, env=env, check=True).stdout == b"two\xc3"
    assert json.loads(mtntui(records.home, *command[3:], "--json").stdout)["output"].startswith("one\n\ufffdé\x1b]0;")
    with PtyProgram(command, env=env) as program:
        program.wait_for("two")
        assert program.wait() == 0
        assert b"\x1b]0;" not in program.output


def test_output_is_read_on_after_its_beginning_was_dropped(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    tail = OutputTail(path)
    assert list(tail.read()) == []
    path.write_bytes(b"a" * 1000 + b"b" * 300 + "é".encode()[:1])
    assert "".join(tail.read()) == "a" * 1000 + "b" * 300
    path.write_bytes(b"[dropped]\n" + b"b" * 300 + "é".encode() + b"c" * 5000)  # longer now, and still not what was there
    assert "".join(tail.read()) == "é" + "c" * 5000
    assert "".join(tail.read()) == ""
    path.write_bytes(b"quite another")
    assert "".join(tail.read()) == "quite another"


def test_what_others_wrote_reaches_the_terminal_as_visible_text(records: Records) -> None:
    identifier = records.ended("failed", HOSTILE, error=HOSTILE, hint=HOSTILE)
    records.jobs.record(
        identifier,
        progress=(HOSTILE, 1, 2, HOSTILE),
        points=[Point(HOSTILE, 1, 1.0, 1.0)],
        lines=[(now(), HOSTILE)],
        artefacts=[Artefact("model", HOSTILE, HOSTILE)],
    )
    for command in (["list"], ["show", identifier], ["watch", identifier], ["logs", identifier]):
        with PtyProgram([*PROGRAM, "jobs", *command], columns=120, rows=40, env=program_environment(records.home)) as program:
            program.wait_for("owned")
            program.wait()
            assert b"\x1b]0;" not in program.output and b"\x07" not in program.output
            assert "\u202e" not in program.output.decode() and "[red]x[/]" in program.output.decode(), command


def test_kinds_are_told_with_their_fields(tmp_path: Path) -> None:
    text = mtntui(tmp_path / "home", "jobs", "kinds").stdout
    assert "pull: Fetch a model" in text and "int4 | int8 | fp32" in text and "required" in text
    [export] = mtntui_json(tmp_path / "home", "jobs", "kinds", "export")
    fields = {field["name"]: field for field in export["fields"]}
    assert (fields["model"]["required"], fields["model"]["limits"]) == (True, {"minLength": 1, "maxLength": 200})
    assert (fields["precision"]["default"], fields["precision"]["choices"]) == ("int4", ["int4", "int8", "fp32"])
    assert not (tmp_path / "home").exists(), "this needs no workspace"
    assert mtntui(tmp_path / "home", "jobs", "kinds", "expo").stderr.startswith("There is no kind of job named 'expo'.")


@pytest.mark.slow
def test_ten_thousand_jobs_are_listed_fast(records: Records) -> None:
    with records.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO jobs (id, kind, title, config, resource, state, created_at) VALUES (?, 'export', ?, '{}', 'processor',"
            " 'succeeded', ?)",
            [(f"{number:012x}", f"Export {number}", now(ago=number)) for number in range(10_000)],
        )
    code = (
        "import sys, time\nfrom mtntui.__main__ import main\nmain(['jobs', 'list'])\n"
        "began = time.perf_counter()\nmain(['jobs', 'list'])\nprint(time.perf_counter() - began, file=sys.stderr)"
    )
    env = program_environment(records.home)
    best = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True).stderr)
        for _ in range(3)
    )
    assert best < 0.1


def test_without_a_program_to_read_them_lists_end_quietly(records: Records) -> None:
    records.ended("succeeded")
    shell = shutil.which("sh")
    assert shell
    command = f"{sys.executable} -m mtntui jobs list | true"
    done = subprocess.run(
        [shell, "-c", command], capture_output=True, text=True, env=program_environment(records.home), check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
