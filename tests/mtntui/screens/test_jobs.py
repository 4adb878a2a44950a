"""The jobs room: the list, and what is done with its jobs."""

import asyncio
import subprocess
import sys
import time
import tomllib

import pytest

from engine.store.jobs import Artefact
from engine.store.models import ModelRecord, Models
from mtntui.screens.chat.screen import ChatScreen
from mtntui.screens.confirm import Confirm
from mtntui.screens.jobs.ask_path import AskPath
from mtntui.screens.jobs.form import JobForm
from mtntui.screens.jobs.screen import JobsScreen
from mtntui.terminal_text import unsafe_in_cells

from .chat_app import NARROW, WIDE, toasts, type_text, until
from .jobs_app import jobs_app, rows, shown


async def test_a_key_leads_to_the_jobs_and_back_and_an_empty_list_says_what_to_do(place):
    async with jobs_app(place, size=NARROW) as (pilot, _):
        assert "No jobs yet" in shown(pilot) and "Ctrl+N" in shown(pilot)
        await pilot.press("ctrl+t")
        assert isinstance(pilot.app.screen, ChatScreen)
        await pilot.press("ctrl+t", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen))
        titles = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
        assert "Jobs" in titles


async def test_a_state_is_a_word_and_a_mark_and_work_shows_how_far_and_how_fast_it_is(place, board):
    board.ended("Broken", "failed", error="The disk is full.", hint="Free some space.")
    job = board.running("Busy")
    board.jobs.record(job.id, seconds=10, progress=("building", 20, 100, "layers"))
    async with jobs_app(place, size=NARROW) as (pilot, _):
        assert "● Busy" in shown(pilot) and "running" in shown(pilot) and "✗ Broken" in shown(pilot) and "failed" in shown(pilot)
        assert "The disk is full." in shown(pilot) and "20 %" in shown(pilot)
        board.jobs.record(job.id, seconds=20, progress=("building", 40, 100, "layers"))
        await until(pilot, lambda: "40 %" in shown(pilot))
        assert "0:20" in shown(pilot) and "0:30 left" in shown(pilot) and "2.0 layers/s" in shown(pilot)


async def test_the_selected_job_stays_selected_while_others_come_and_go(place, board):
    board.ended("Old")
    kept, gone = board.ended("Kept"), board.ended("Gone")
    async with jobs_app(place) as (pilot, screen):
        await pilot.press("down")
        await until(pilot, lambda: screen.selected is not None and screen.selected.id == kept.id)
        for number in range(40):
            board.ended(f"New {number}")
        await until(pilot, lambda: screen.list.total == 43)
        assert screen.list.selected == kept.id and screen.list.index == 41
        board.jobs.remove(gone.id)
        await until(pilot, lambda: screen.list.total == 42)
        assert (screen.selected.id, screen.list.index) == (kept.id, 40)


async def test_ten_thousand_jobs_are_listed_at_once_and_the_last_is_one_key_away(place, board):
    with place.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO jobs (id, kind, title, config, state, resource, created_at)"
            " VALUES (?, 'pull', ?, '{}', 'succeeded', 'network', ?)",
            ((f"{at:012}", f"Job number {at}", f"2026-01-01T{at:08}") for at in range(10_000)),
        )
    async with jobs_app(place) as (pilot, screen):
        assert "Job number 9999" in shown(pilot)
        began = time.perf_counter()
        screen.look()
        while screen.reading._busy:
            await pilot.pause(0.001)
        assert time.perf_counter() - began < 0.1
        await pilot.press("end")
        await until(pilot, lambda: screen.selected is not None and screen.selected.title == "Job number 0")
        assert "Job number 0" in shown(pilot)
        await pilot.press("home")
        await until(pilot, lambda: screen.selected is not None and screen.selected.title == "Job number 9999")


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_what_others_wrote_is_shown_as_it_is(place, board, size):
    evil = "\x1b]52;c;aGk=\x07[bold]x[/foo] [@click=app.exit]y\u202e " + "long " * 50
    board.ended(evil, "failed", error=evil, hint=evil)
    job = board.running("Harmless", {evil: evil})
    board.jobs.record(job.id, seconds=1, progress=(evil, 1, 2, evil), lines=[("2026-01-01T00:00:00+00:00", evil)])
    output = place.queue.output(job.id)
    output.parent.mkdir(parents=True)
    output.write_bytes(b"\xff\x1b[2J\x1b[31m[/red]\x1b[0m stale\rfresh\n")
    async with jobs_app(place, size=size) as (pilot, screen):
        for key in "12345":
            await pilot.press(key)
            await pilot.pause(0.3)
            assert not unsafe_in_cells("".join(rows(pilot)))
            if key == "4":
                assert "fresh" in shown(pilot) and "stale" not in shown(pilot)
        await pilot.press("escape", "down", "enter")
        await until(pilot, lambda: screen.selected.state == "failed")
        await pilot.pause(0.2)
        assert "[bold]x[/foo] [@click=app.exit]y" in shown(pilot) and not unsafe_in_cells("".join(rows(pilot)))


async def test_a_job_is_cancelled_after_one_question(place, board):
    job = board.running("Busy")
    async with jobs_app(place) as (pilot, screen):
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert board.jobs.get(job.id).state == "running"
        await pilot.press("c", "c", "enter")
        await until(pilot, lambda: board.jobs.get(job.id).state != "running")


async def test_what_did_not_succeed_is_resumed_and_removed_and_nothing_else_is(place, board):
    failed = board.ended("Broken", "failed", error="No.")
    parent = board.running("Busy")
    async with jobs_app(place) as (pilot, screen):
        await pilot.press("r", "d")
        await pilot.pause(0.2)
        assert board.jobs.get(parent.id).state == "running" and pilot.app.screen is screen
        await pilot.press("down")
        await until(pilot, lambda: screen.selected.id == failed.id)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("enter")
        await until(pilot, lambda: board.jobs.find(failed.id) is None)
        again = board.ended("Broken too", "failed", error="No.")
        await until(pilot, lambda: "Broken too" in shown(pilot))
        await pilot.press("home")
        await until(pilot, lambda: screen.selected is not None and screen.selected.id == again.id)
        await pilot.press("r")
        await until(pilot, lambda: board.jobs.get(again.id).state != "failed")


async def test_a_job_is_started_from_a_form_that_says_what_is_wrong(place):
    async with jobs_app(place, size=NARROW) as (pilot, screen):
        await pilot.press("ctrl+n")
        await until(pilot, lambda: isinstance(pilot.app.screen, JobForm) and bool(pilot.app.screen.query("#field-model")))
        await pilot.press("left")  # the last kind: a drill
        form = pilot.app.screen
        await until(pilot, lambda: bool(form.query("#field-steps")))
        form.query_one("#field-steps").focus()
        await type_text(pilot, "x")
        await until(pilot, lambda: "✗" in str(form.query_one("#about-steps").render()))
        await pilot.press("f10")
        await pilot.pause(0.2)
        assert pilot.app.screen is form and not place.jobs.browse()
        form.query_one("#field-steps").value = "2"
        form.query_one("#field-name").value = "mine"
        await pilot.press("f10")
        await until(pilot, lambda: bool(place.jobs.browse()))
        await until(pilot, lambda: screen.selected is not None)
        (job,) = place.jobs.browse()
        assert (job.config["name"], job.config["steps"], screen.selected.id) == ("mine", 2, job.id)
        await until(pilot, lambda: "“Drill mine” succeeded" in toasts(pilot))


async def test_a_form_offers_the_models_on_record_and_begins_with_what_the_clone_had(place, board, tmp_path):
    for name in ("small", "tiny"):
        Models(place.database).put(ModelRecord(name, "safetensors", tmp_path))
    Models(place.database).put(ModelRecord("graph", "onnx", tmp_path))
    job = board.running("Export tiny", {"model": "tiny", "precision": "int8"})
    board.jobs.end(job.id, "succeeded")
    async with jobs_app(place) as (pilot, _):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, JobForm) and bool(pilot.app.screen.query("#field-model")))
        form = pilot.app.screen
        assert form.query_one("#field-model").value == "tiny" and form.query_one("#field-precision").value == "int8"
        form.query_one("#field-model").focus()
        offered = set()
        for _ in range(4):
            await pilot.press("right")
            offered.add(form.query_one("#field-model").value)
        assert offered == {"small", "tiny"}


async def test_a_form_chains_a_job_to_one_that_runs(place, board, tmp_path):
    Models(place.database).put(ModelRecord("small", "safetensors", tmp_path))
    before = board.running("Fetch something")
    async with jobs_app(place) as (pilot, _):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, JobForm) and bool(pilot.app.screen.query("#parent")))
        pilot.app.screen.query_one("#parent").focus()
        await pilot.press("right", "f10")
        await until(pilot, lambda: len(place.jobs.browse()) == 2)
        (job,) = place.jobs.children(before.id)
        assert (job.state, job.argument) == ("queued", "model")


async def test_a_form_is_saved_as_toml_and_filled_in_from_it(place, board, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Models(place.database).put(ModelRecord("small", "safetensors", tmp_path))
    board.running("Export small", {"model": "small", "precision": "fp32"})
    async with jobs_app(place) as (pilot, _):

        async def form():
            await until(pilot, lambda: isinstance(pilot.app.screen, JobForm) and bool(pilot.app.screen.query("#field-model")))
            return pilot.app.screen

        await pilot.press("e")
        filled = await form()
        for said in ("Saved as export.toml", "is there already"):
            await pilot.press("f2")
            await until(pilot, lambda: isinstance(pilot.app.screen, AskPath))
            await pilot.press("enter")
            await until(
                pilot,
                lambda said=said: pilot.app.screen is filled and said in toasts(pilot) + str(filled.query_one("#hint").render()),
            )
        assert tomllib.loads((tmp_path / "export.toml").read_text()) == {"model": "small", "precision": "fp32"}
        (tmp_path / "export.toml").write_text('model = "small"\nprecision = "int8"\n')
        await pilot.press("f3")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskPath))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is filled and filled.query_one("#field-precision").value == "int8")
        (tmp_path / "export.toml").write_text('modell = "small"\n')
        await pilot.press("f3")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskPath))
        await pilot.press("enter")
        await until(pilot, lambda: "modell" in str(filled.query_one("#hint").render()))


async def test_what_a_job_made_answers_in_the_chat(place, board, tmp_path):
    Models(place.database).put(ModelRecord("student", "onnx", tmp_path))
    job = board.running("Distil")
    board.jobs.record(job.id, seconds=1, artefacts=[Artefact("model", "student")])
    board.jobs.end(job.id, "succeeded")
    async with jobs_app(place) as (pilot, screen):
        await until(pilot, lambda: screen.reading.model == "student")
        await pilot.press("g")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen) and pilot.app.screen.desk.model == "student")


async def test_word_of_a_jobs_end_comes_in_any_room_and_leaves_what_was_cancelled_untold(place, board):
    job, cancelled = board.running("Busy"), board.running("Unwanted")
    async with jobs_app(place) as (pilot, _):
        await pilot.press("ctrl+t")
        assert not isinstance(pilot.app.screen, JobsScreen)
        await pilot.pause(1.5)
        board.jobs.end(cancelled.id, "cancelled")
        board.jobs.end(job.id, "failed", error="The disk is full.")
        await until(pilot, lambda: "“Busy” failed. The disk is full." in toasts(pilot))
        assert "Unwanted" not in toasts(pilot)


async def test_leaving_the_program_from_the_jobs_keeps_what_is_written_in_the_chat(place):
    async with jobs_app(place) as (pilot, _):
        await pilot.press("ctrl+t")
        await type_text(pilot, "unsent")
        await pilot.press("ctrl+t", "ctrl+q")
        drafts = place.workspace.home / "drafts"
        await until(pilot, lambda: any("unsent" in file.read_text() for file in drafts.glob("*")), 0.9)


async def test_the_jobs_room_loads_no_pydantic_until_a_form_opens(place):
    code = """
import asyncio, sys
from engine.settings import Settings
from engine.store.database import Database
from mtntui.app import MtntuiApp
from mtntui.services import Services
async def main():
    settings = Settings(home=sys.argv[1])
    app = MtntuiApp(Services(settings, Database(settings.workspace.prepare().database)))
    async with app.run_test() as pilot:
        for key in ("ctrl+t", "ctrl+n"):
            await pilot.press(key)
            await pilot.pause(2)
            print("pydantic" in sys.modules)
asyncio.run(main())
"""
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(place.workspace.home)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["False", "True"]
