"""The details of a job: curves, log, output, lineage."""

from engine.store.jobs import Artefact, Point
from mtntui.screens.jobs.following import MOST_POINTS, Follower, output_lines

from .chat_app import NARROW, WIDE, until
from .jobs_app import curve, jobs_app, rows, shown


def braille(pilot):
    return sum(0x2801 <= ord(cell) <= 0x28FF for cell in "".join(rows(pilot)))


async def test_an_overview_tells_what_was_made_what_stands_around_it_and_what_it_used(place, board):
    job = board.running("Distil small")
    child = board.jobs.add("export", "Export the student", {}, "processor", parent=job.id, argument="model")
    memory = [Point("system/memory", at, 1e9, at) for at in range(5)]
    board.jobs.record(job.id, seconds=5, points=memory, artefacts=[Artefact("model", "student", "/models/student")])
    board.jobs.end(job.id, "failed", error="The disk is full.", hint="Free 300 MB, then resume it.")
    async with jobs_app(place) as (pilot, screen):
        await pilot.press("down")
        await until(pilot, lambda: "Export the student" in shown(pilot) and "Made" in shown(pilot))
        text = shown(pilot)
        for words in ("The disk is full.", "Free 300 MB", "student", "/models/student", "1.0 GB", "Then"):
            assert words in text, words
        await pilot.press("up")
        await until(pilot, lambda: screen.selected.id == child.id and "Follows" in shown(pilot))


async def test_details_take_the_place_of_the_list_where_there_is_little_room(place, board):
    board.running("Busy")
    async with jobs_app(place, size=NARROW) as (pilot, screen):
        assert "1 Overview" not in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "1 Overview" in shown(pilot))
        assert not screen.list.display
        await pilot.press("escape")
        await until(pilot, lambda: screen.list.display and screen.list.has_focus)
        await pilot.press("5")
        await until(pilot, lambda: "precision" in shown(pilot))


async def test_curves_grow_while_the_job_runs_and_the_cursor_reads_them(place, board):
    job = board.running("Busy")
    board.jobs.record(job.id, seconds=1, points=[*curve("loss", *(4 - at / 50 for at in range(100))), *curve("rate", 1, 2)])
    async with jobs_app(place) as (pilot, screen):
        plot = screen.detail.plot
        await pilot.press("2")
        await until(pilot, lambda: braille(pilot) > 20)
        assert plot.shown == {"loss"} and "2.02 at 99" in shown(pilot)
        await pilot.press("left", *["shift+left"] * 30)
        assert "4 at 0" in shown(pilot)
        board.jobs.record(job.id, seconds=2, points=curve("loss", *[1.5] * 50, first=100))
        await pilot.press("escape", "2")
        plot.cursor = None
        await until(pilot, lambda: "1.5 at 149" in shown(pilot))
        await pilot.press("down", "space")
        assert plot.shown == {"loss", "rate"}


async def test_the_mouse_reads_a_curve_and_takes_its_cursor_with_it(place, board):
    job = board.running("Busy")
    board.jobs.record(job.id, seconds=1, points=curve("loss", *range(100)))
    async with jobs_app(place) as (pilot, _):
        await pilot.press("2")
        await until(pilot, lambda: "99 at 99" in shown(pilot))
        await pilot.hover("#job-curves", offset=(10, 5))
        assert " 0 at 0" in shown(pilot)
        await pilot.hover("#job-list")
        assert "99 at 99" in shown(pilot)


async def test_a_logarithmic_scale_leaves_out_what_has_no_logarithm(place, board):
    job = board.running("Busy")
    board.jobs.record(job.id, seconds=1, points=curve("loss", 1000, 100, 10, 1, 0, -5, float("inf")))
    async with jobs_app(place) as (pilot, screen):
        await pilot.press("2")
        await until(pilot, lambda: braille(pilot) > 5)
        await pilot.press("l", "s")
        text = shown(pilot)
        assert "logarithmic" in text and "smoothed" in text and "1000 ┤" in text and "   1 ┤" in text
        board.jobs.record(job.id, seconds=1, points=curve("loss", 0, 0, 0, 0, 0))
        await pilot.press("l")
        assert "logarithmic" not in shown(pilot) and screen.detail.plot.smoothing


async def test_two_jobs_stand_beside_each_other(place, board):
    first, second = board.running("First"), board.running("Second")
    board.jobs.record(first.id, seconds=1, points=curve("loss", 3, 2, 1))
    board.jobs.record(second.id, seconds=1, points=curve("loss", 9, 8, 7.5))
    async with jobs_app(place) as (pilot, screen):
        await pilot.press("m", "down", "2")
        await until(pilot, lambda: "7.5 at 2" in shown(pilot))
        assert "1 at 2" in shown(pilot) and "capitals: Second" in shown(pilot)
        await pilot.press("escape", "up")
        await until(pilot, lambda: screen.selected.id == second.id and "capitals" not in shown(pilot))


async def test_a_log_is_followed_until_one_scrolls_up_and_words_are_found(place, board):
    job = board.running("Busy")
    time = "2026-01-01T00:00:00+00:00"
    board.jobs.record(job.id, seconds=1, lines=[(time, f"line {at} " + "x" * at) for at in range(200)])
    async with jobs_app(place, size=WIDE) as (pilot, screen):
        log = screen.detail.log_view
        await pilot.press("3")
        await until(pilot, lambda: "line 199 " in shown(pilot))
        board.jobs.record(job.id, seconds=1, lines=[(time, "the newest")])
        await until(pilot, lambda: "the newest" in shown(pilot))
        await pilot.press("pageup")
        assert not log.following
        before = [row[:-3] for row in rows(pilot)[10:-2]]  # without the scrollbar
        board.jobs.record(job.id, seconds=1, lines=[(time, "one that is not followed")])
        await until(pilot, lambda: len(log._lines) == 202)
        assert [row[:-3] for row in rows(pilot)[10:-2]] == before
        await pilot.press("slash", *"LINE", "space", *"17", "space", "enter")
        await until(pilot, lambda: "line 17 " in shown(pilot) and log.has_focus)
        await pilot.press("f")
        assert "one that is not followed" in shown(pilot) and log.following


async def test_output_grows_without_a_word_from_the_store(place, board):
    job = board.running("Busy")
    output = place.queue.output(job.id)
    output.parent.mkdir(parents=True)
    output.write_text("loading\n")
    async with jobs_app(place) as (pilot, _):
        await pilot.press("4")
        await until(pilot, lambda: "loading" in shown(pilot))
        with output.open("a") as opened:
            opened.write(" 10%|#\r100%|##########\n")
        await until(pilot, lambda: "100%" in shown(pilot))
        assert " 10%" not in shown(pilot)


def test_only_new_points_are_read_and_a_long_curve_stays_short(board, place):
    job = board.running("Busy")
    follower = Follower(board.jobs, job.id, place.queue.output(job.id))
    for part in range(12):
        board.jobs.record(job.id, seconds=part, points=curve("loss", *range(500), first=500 * part))
        detail = follower.read(curves=True, log=False, output=False)
        known = detail.curves["loss"]
        assert known[-1] == (500 * part + 499, 499) and known[0][0] == 0 and len(known) <= 2 * MOST_POINTS + 1
        assert [step for step, _ in known] == sorted({step for step, _ in known})


def test_a_resumed_job_takes_back_the_steps_after_its_checkpoint(board, place):
    job = board.running("Busy")
    board.jobs.record(job.id, seconds=1, points=curve("loss", 5, 4, 3))
    follower = Follower(board.jobs, job.id, place.queue.output(job.id))
    follower.read(curves=True, log=False, output=False)
    board.jobs.end(job.id, "interrupted")
    board.jobs.requeue(job.id)
    board.jobs.claim(job.id, *board._worker, 100)
    board.jobs.record(job.id, seconds=2, points=curve("loss", 2.5, first=1))
    detail = follower.read(curves=True, log=False, output=False)
    assert detail.curves["loss"] == ((0, 5), (1, 2.5), (2, 3))


def test_numbers_that_are_none_leave_a_gap_and_are_read_once(board, place):
    job = board.running("Busy")
    board.jobs.record(job.id, seconds=1, points=[Point("loss", 0, 1.0, 0), Point("loss", 1, None, 1)])
    follower = Follower(board.jobs, job.id, place.queue.output(job.id))
    assert follower.read(curves=True, log=False, output=False).curves["loss"] == ((0, 1.0),)
    board.jobs.record(job.id, seconds=1, points=[Point("loss", 2, 3.0, 0)])
    assert follower.read(curves=True, log=False, output=False).curves["loss"] == ((0, 1.0), (2, 3.0))


def test_output_keeps_the_last_state_of_a_bar_and_no_colours():
    assert output_lines("a\n 1%\r 2%\r\n\x1b[1;31mred\x1b[0m\n") == ["a", " 2%", "red"]
    assert output_lines("") == []
