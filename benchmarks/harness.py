"""What every benchmark shares: options, rounds in turn, and the table or JSON at the end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Literal, NoReturn, TypeVar

Better = Literal["higher", "lower"]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row should reach. All that is set must hold.

    Attributes:
        ratio: the least ratio to the peer.
        limit: for ours alone, in the row's unit: at most this where lower is better, at least this where higher is.
    """

    ratio: float | None = None
    limit: float | None = None

    def text(self, better: Better) -> str:
        """As the table says it."""
        sign = "<=" if better == "lower" else ">="
        parts = [f"{sign} {self.limit:g}"] if self.limit is not None else []
        parts += [f"ratio >= {self.ratio:g}"] if self.ratio is not None else []
        return ", ".join(parts)

    def met(self, better: Better, ours: float | None, ratio: float | None) -> bool | None:
        """Whether it is reached; None when a figure that it needs is missing."""
        holds: list[bool | None] = []
        if self.limit is not None:
            holds.append(None if ours is None else ours <= self.limit if better == "lower" else ours >= self.limit)
        if self.ratio is not None:
            holds.append(None if ratio is None else ratio >= self.ratio)
        if False in holds:
            return False
        return None if None in holds else True


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result; the fields are the keys of `--json`.

    Attributes:
        ours, peer: medians over the rounds, in `unit`; None where there is no figure.
        peer_name: what ours was compared with, with its version or settings; where it could not be run, why.
        ratio: above 1 when ours is better; None without two figures, or when ours is 0 and the ratio thus without end.
        met: None when there is no goal or it could not be judged.
    """

    name: str
    ours: float | None
    peer: float | None
    peer_name: str
    unit: str
    ratio: float | None
    goal: str
    met: bool | None


def compare(
    name: str,
    ours: Sequence[float],
    peer: Sequence[float] = (),
    peer_name: str = "",
    *,
    unit: str,
    better: Better,
    goal: Goal | None = None,
) -> Row:
    """A row from the samples of all rounds.

    Args:
        ours, peer: one figure a round; empty where nothing could be measured.
    """
    mine = median(ours) if ours else None
    theirs = median(peer) if peer else None
    share = ratio(mine, theirs, better)
    # Nothing is better than 0 where lower is better, so a ratio without end meets any goal.
    judged = float("inf") if share is None and better == "lower" and mine == 0 and theirs else share
    return Row(
        name=name,
        ours=mine,
        peer=theirs,
        peer_name=peer_name,
        unit=unit,
        ratio=share,
        goal=goal.text(better) if goal else "",
        met=goal.met(better, mine, judged) if goal else None,
    )


def ratio(ours: float | None, peer: float | None, better: Better) -> float | None:
    """How many times better ours is; None without two figures, or when it is without end."""
    if ours is None or peer is None:
        return None
    upper, lower = (ours, peer) if better == "higher" else (peer, ours)
    if upper == lower:
        return 1.0
    return None if lower == 0 else upper / lower


def in_turn(rounds: int, subjects: Mapping[str, Callable[[], Result]]) -> dict[str, list[Result]]:
    """Run every subject once a round, so that what else the machine does falls on all of them alike.

    Every second round goes backwards: whoever follows a heavy subject meets a warm or a throttled processor.
    """
    results: dict[str, list[Result]] = {name: [] for name in subjects}
    for number in range(rounds):
        warn_if_busy()
        names = list(subjects)[:: -1 if number % 2 else 1]
        for name in names:
            say(f"round {number + 1} of {rounds}: {name}")
            results[name].append(subjects[name]())
    return results


def warn_if_busy() -> None:
    """Say so when other programs keep the processor busy: figures then mean little, and those of programs that spin mean less."""
    import psutil  # type: ignore[import-untyped]

    busy = psutil.cpu_percent(interval=0.5) / 100 * (psutil.cpu_count() or 1)
    if busy > 0.2:
        say(f"warning: other programs use {busy:.1f} of {psutil.cpu_count()} processors; do not trust what follows")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    quick: bool
    json: bool
    rounds: int


def parse_options(description: str, *, rounds: int, quick_rounds: int, arguments: Sequence[str] | None = None) -> Options:
    """Read `--quick`, `--json` and `--rounds N`.

    Args:
        rounds, quick_rounds: the defaults without and with `--quick`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="less work: two minutes, setting up peers not counted")
    parser.add_argument("--json", action="store_true", help="print the rows as a list of objects")
    parser.add_argument("--rounds", type=int, default=0, metavar="N", help=f"default: {rounds}, with --quick {quick_rounds}")
    given = parser.parse_args(arguments)
    if given.rounds < 0:
        parser.error("--rounds takes a number above 0")
    return Options(given.quick, given.json, given.rounds or (quick_rounds if given.quick else rounds))


def show(title: str, rows: Sequence[Row], *, as_json: bool) -> None:
    """Print the result to standard output."""
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, caption="ratio: above 1 is better", title_justify="left", caption_justify="left")
    for heading in ("name", "ours", "peer", "peer_name", "unit", "ratio", "goal", "met"):
        table.add_column(heading, justify="right" if heading in {"ours", "peer", "ratio"} else "left", overflow="fold")
    for row in rows:
        met = {True: "yes", False: "NO", None: "-"}[row.met]
        figures = (figure(row.ours), figure(row.peer), row.peer_name or "-", row.unit, _ratio_text(row))
        table.add_row(row.name, *figures, row.goal or "-", met)
    # Into a file or a pipe, rows are not to be folded at 80 columns.
    Console(width=None if sys.stdout.isatty() else 170, markup=False, highlight=False).print(table)


def _ratio_text(row: Row) -> str:
    if row.ratio is None:
        return "without end" if row.ours == 0 and row.peer else "-"
    return f"{row.ratio:.2f}"


def figure(value: float | None) -> str:
    """A number with three significant digits, as far as there are any."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3 if abs(value) >= 0.1 else 4
    return f"{value:.{digits}f}"


def say(text: str) -> None:
    """Tell how far it is, on standard error."""
    print(text, file=sys.stderr, flush=True)


def give_up(text: str) -> NoReturn:
    """End because the figures would mean nothing: results differ, or ours does not run."""
    say(f"error: {text}")
    raise SystemExit(1)


def cache_folder() -> Path:
    """Where benchmarks keep peers, models and prepared workspaces from run to run."""
    from platformdirs import user_cache_path

    folder = user_cache_path("mtntui", appauthor=False) / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
