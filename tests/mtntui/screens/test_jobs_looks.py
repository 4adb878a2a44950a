"""How the jobs room looks. After a change that is meant: run this file with `--snapshot-update`, and look."""

import math
import time

import pytest
from job_workspace import job_place

from engine.store.database import Database
from engine.store.jobs import Artefact, Point
from mtntui.app import MtntuiApp
from mtntui.screens.jobs.screen import JobsScreen
from mtntui.services import Services

from .chat_app import NARROW, until
from .jobs_app import board_of, shown

LARGE = (160, 45)


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The program with a few jobs of long ago."""
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with job_place(tmp_path / "home", monkeypatch) as place, board_of(place) as board:
        _fill(board)
        with place.database.transaction() as connection:
            for at, (identifier,) in enumerate(connection.execute("SELECT id FROM jobs ORDER BY rowid").fetchall()):
                moment = f"2026-01-01T00:00:0{at}.000+00:00"
                connection.execute(
                    "UPDATE jobs SET created_at = ?1, started_at = iif(started_at IS NULL, NULL, ?1),"
                    " ended_at = iif(ended_at IS NULL, NULL, ?1) WHERE id = ?2",
                    (moment, identifier),
                )
        yield MtntuiApp(Services(place.settings, Database(place.workspace.database)))
    monkeypatch.undo()
    time.tzset()


def _fill(board):
    fetched = board.running("Fetch smollm2-135m")
    made = Artefact("model", "smollm2-135m", "/models/smollm2-135m")
    board.jobs.record(fetched.id, seconds=34, progress=("done", 92.8e6, 92.8e6, "B"), artefacts=[made])
    board.jobs.end(fetched.id, "succeeded")
    board.ended("Export smollm2-135m as int4", "failed", error="The disk is full.", hint="Free 300 MB, then resume it.")
    board.ended("Export smollm2-135m as int8", "interrupted")
    job = board.running("Distil smollm2-135m from qwen3-4b on chats-v3", {"student": "smollm2-135m", "teacher": "qwen3-4b"})
    points = [Point("train/loss", at, 3 * math.exp(-at / 300) + 0.6 + 0.2 * math.sin(at * at), at / 5) for at in range(1000)]
    points += [Point("eval/loss", at, 3 * math.exp(-at / 300) + 0.7, at / 5) for at in range(0, 1000, 50)]
    points += [Point("learning rate", at, 2e-4 * min(1, at / 100), at / 5) for at in range(1000)]
    board.jobs.record(job.id, seconds=200, progress=("training", 1000, 2500, "steps"), points=points)
    board.jobs.add("export", "Export the student as int4", {}, "processor", parent=job.id, argument="model")


async def jobs_shown(pilot):
    await until(pilot, lambda: pilot.app.screen.arrived)
    await pilot.press("ctrl+t")
    await until(pilot, lambda: isinstance(pilot.app.screen, JobsScreen) and pilot.app.screen.reading.arrived)


def test_the_list_where_there_is_little_room(app, snap_compare):
    assert snap_compare(app, terminal_size=NARROW, run_before=jobs_shown)


def test_curves_beside_the_list(app, snap_compare):
    async def before(pilot):
        await jobs_shown(pilot)
        await pilot.press("down", "2")
        await until(pilot, lambda: "train/loss" in shown(pilot))
        await pilot.press("down", "down", "space", *["shift+left"] * 6, "s")
        await pilot.hover("#job-list")

    assert snap_compare(app, terminal_size=LARGE, run_before=before)


def test_what_failed_says_why_where_there_is_little_room(app, snap_compare):
    async def before(pilot):
        await jobs_shown(pilot)
        await pilot.press("down", "down", "down", "5", "escape", "enter")
        await until(pilot, lambda: "Free 300 MB" in shown(pilot))

    assert snap_compare(app, terminal_size=NARROW, run_before=before)


def test_the_form_of_a_new_job(app, snap_compare):
    async def before(pilot):
        await jobs_shown(pilot)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: bool(pilot.app.screen.query("#field-model")))
        await pilot.press("f10")

    assert snap_compare(app, terminal_size=NARROW, run_before=before)
