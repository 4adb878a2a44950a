"""What is known of a job, in words: its head, its overview, its configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from textual.content import Content

from engine.store.jobs import Artefact, JobRecord
from mtntui.terminal_text import one_line, visible
from mtntui.widgets.curves import Curve
from mtntui.widgets.job_words import LOOKS, Pace, amount, bar, duration, moment, share, size, speed

_LABEL = 14
"""Columns for the labels at the left."""

_SPARKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 24

_SYSTEM = {"system/cpu": "Processor", "system/memory": "Memory", "system/gpu memory": "GPU memory"}


def head(job: JobRecord, pace: Pace, width: int) -> Content:
    """Title, state, how far and how fast, and what went wrong."""
    look = LOOKS[job.state]
    lines = [
        Content.styled(one_line(job.title, width) or one_line(job.kind, width), "bold"),
        Content.assemble((f"{look.mark} {look.word}", look.colour), ("  " + _facts(job, pace), "$foreground-muted")),
    ]
    if job.state in ("running", "stopping"):
        lines.append(_bar(job, width))
    if job.error:
        lines.append(Content.styled(visible(job.error)[:2000], "$text-error"))
    if job.hint:
        lines.append(Content(visible(job.hint)[:2000]))
    if job.state == "interrupted" and not job.error:
        lines.append(Content("It was cut off. R begins it again, at its last checkpoint if any."))
    return Content("\n").join(lines)


def _facts(job: JobRecord, pace: Pace) -> str:
    facts = [duration(job.seconds)] if job.started_at else []
    if job.state in ("running", "stopping"):
        rate, left = pace.rate, pace.left(job)
        facts.append(f"{duration(left)} left" if left is not None else "")
        facts.append(speed(rate, job.unit) if rate is not None else "")
    return "  ".join(fact for fact in facts if fact)


def _bar(job: JobRecord, width: int) -> Content:
    fraction = share(job)
    phase = one_line(job.phase or "starting", 30)
    if fraction is None:
        return Content.assemble(phase, "  ", (amount(job), "$foreground-muted"))
    told = f" {100 * fraction:.0f} %  {amount(job)}"
    room = max(4, min(40, width - len(phase) - len(told) - 2))
    done, rest = bar(fraction, room)
    return Content.assemble(phase, "  ", (done, "$primary"), (rest, "$foreground-disabled"), (told, "$foreground-muted"))


def overview(
    job: JobRecord,
    before: JobRecord | None,
    after: Sequence[JobRecord],
    artefacts: Sequence[Artefact],
    curves: Mapping[str, Curve],
    width: int,
) -> Content:
    """Times, what it made, what it stands between, and what it uses."""
    now = datetime.now().astimezone()
    lines = [*_times(job, now), *_made(job, artefacts, width), *_lineage(before, after, width), *_resources(curves)]
    return Content("\n").join(lines)


def _row(label: str, value: Content | str) -> Content:
    return Content.assemble((f"{label:<{_LABEL}}", "$foreground-muted"), value)


def _times(job: JobRecord, now: datetime) -> Iterator[Content]:
    yield _row("Job", f"{one_line(job.id, 40)}, {one_line(job.kind, 40)}")
    yield _row("Submitted", moment(job.created_at, now))
    if job.started_at:
        attempts = f", {job.attempts} attempts" if job.attempts > 1 else ""
        yield _row("Started", f"{moment(job.started_at, now)}{attempts}")
    if job.ended_at:
        yield _row("Ended", moment(job.ended_at, now))
    if job.phase:
        yield _row("Phase", f"{one_line(job.phase, 60)}  {amount(job)}")
    yield _row("If cut off", "goes on by itself" if job.policy == "resume" else "waits for you")


def _made(job: JobRecord, artefacts: Sequence[Artefact], width: int) -> Iterator[Content]:
    if not artefacts and not job.result:
        return
    yield Content("")
    for artefact in artefacts:
        name = one_line(artefact.name, max(10, width - _LABEL - 12))
        yield _row("Made", Content.assemble((name, "bold"), "  ", (one_line(artefact.kind, 20), "$foreground-muted")))
        if artefact.path:
            yield _row("", Content.styled(one_line(artefact.path, max(10, width - _LABEL)), "$foreground-muted"))
    for name, value in job.result.items():
        yield _row(one_line(name, _LABEL - 1), one_line(_plain(value), max(10, width - _LABEL)))


def _lineage(before: JobRecord | None, after: Sequence[JobRecord], width: int) -> Iterator[Content]:
    if before is None and not after:
        return
    yield Content("")
    family = [("Follows", before)] if before is not None else []
    for label, relative in [*family, *(("Then", child) for child in after)]:
        look = LOOKS[relative.state]
        title = one_line(relative.title, max(10, width - _LABEL - 16))
        yield _row(label, Content.assemble((f"{look.mark} ", look.colour), title, (f"  {look.word}", look.colour)))


def _resources(curves: Mapping[str, Curve]) -> Iterator[Content]:
    known = [(name, curves[name]) for name in sorted(curves) if name.startswith("system/") and curves[name]]
    if known:
        yield Content("")
    for name, curve in known:
        values = [value for _, value in curve]
        tell = _percent if name == "system/cpu" else size
        label = _SYSTEM.get(name, one_line(name.removeprefix("system/"), _LABEL - 1))
        said = f" {tell(values[-1])}, at most {tell(max(values))}"
        yield _row(label, Content.assemble((spark(values), "$primary"), said))


def _percent(value: float) -> str:
    return f"{value:.0f} % of a core"


def spark(values: Sequence[float]) -> str:
    """The course of some values in one row of blocks, from zero to the greatest."""
    many = min(_SPARK_WIDTH, len(values))
    groups = [values[len(values) * at // many : len(values) * (at + 1) // many] for at in range(many)]
    highest = max(values) or 1.0
    return "".join(_SPARKS[min(7, max(0, int(8 * max(group) / highest)))] for group in groups)


def configuration(job: JobRecord) -> list[str]:
    """A job's configuration, a line for each field."""
    width = max((len(name) for name in job.config), default=0)
    return [f"{name:<{width}}  {_plain(value)}" for name, value in job.config.items()]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
