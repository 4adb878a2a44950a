"""The terminal program beside bare Textual and other terminal programs, each in a pseudo-terminal of 80 by 24.

    python benchmarks/terminal.py [--quick] [--json] [--rounds N]

`--quick` leaves out the peers that take long to start.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import checkout
from harness import Goal, Options, Row, compare, give_up, in_turn, parse_options, say, show
from lists import CROWD, Crowd, open_long_conversation
from peers import PeerError, environment
from programs import PEERS, Program, Visit, bare, ours, peer, run_time, visit
from replies import Chatted, Streamed, append_cost, chat, reply_text, stream_bare, stream_ours
from smollm2 import STORY, workspace_with_model
from stores import new_store

from engine.inference.threads import physical_cores

_QUICK_PEERS = ("elia-chat",)
_HELP_PEERS = {"posting": "posting", "harlequin": "harlequin"}


def main() -> None:
    """Measure, print."""
    options = parse_options("The terminal program beside its peers.", rounds=5, quick_rounds=2)
    rows = [*visit_rows(options), *help_rows(options), *reply_rows(options), *list_rows(options), *chat_rows(options)]
    show("Terminal, 80x24", rows, as_json=options.json)


# Start, memory, rest, keys


def visit_rows(options: Options) -> list[Row]:
    """First screen, memory, bytes at rest and per key, beside bare Textual and each peer."""
    with tempfile.TemporaryDirectory(prefix="mtntui-bench-") as folder:
        home = Path(folder) / "home"
        new_store(home)
        subjects = {"ours": ours(home), "bare": bare()}
        names = {"bare": subjects["bare"].name}
        for package in _QUICK_PEERS if options.quick else PEERS:
            try:
                subjects[package] = peer(package)
                names[package] = subjects[package].name
            except PeerError as error:
                names[package] = f"{package} could not be set up: {error}"
        calls = {name: partial(_visit, program, options) for name, program in subjects.items()}
        results = in_turn(options.rounds, calls)
    rows = []
    for name, label in names.items():
        visits = [one for one in results.get(name, []) if isinstance(one, Visit)]
        troubles = [one for one in results.get(name, []) if isinstance(one, str)]
        label = f"{label} does not run here: {troubles[0]}" if troubles and not visits else label
        rows += _beside([one for one in results["ours"] if isinstance(one, Visit)], visits, label, name == "bare")
    return sorted(rows, key=lambda row: _ORDER.index(row.name))


_ORDER = ("first painted chat screen", "resident memory before a model is used", "bytes per key in the prompt", "bytes at rest")


def _visit(program: Program, options: Options) -> Visit | str:
    """One visit; for a peer that does not run, why."""
    if program.name == "mtntui":  # what the last visit typed would stand in the prompt
        shutil.rmtree(Path(program.env["MTNTUI_HOME"]) / "drafts", ignore_errors=True)
    try:
        return visit(program, rest=2 if options.quick else 5, keys=8 if options.quick else 30)
    except PeerError as error:
        if program.name == "mtntui":
            give_up(f"mtntui: {error}")
        return str(error)


def _beside(mine: Sequence[Visit], theirs: Sequence[Visit], name: str, judged: bool) -> list[Row]:
    """The four rows beside one program; the goals stand in the rows beside bare Textual."""

    def row(title: str, figure: Callable[[Visit], float | None], unit: str, goal: Goal) -> Row:
        own, other = ([value for one in some if (value := figure(one)) is not None] for some in (mine, theirs))
        label = name if other or not theirs else f"{name} (no prompt without a server)"
        return compare(title, own, other, label, unit=unit, better="lower", goal=goal if judged else None)

    painted, memory, keys, rest = _ORDER
    return [
        row(painted, lambda one: one.painted, "s", Goal(limit=0.30, ratio=0.5)),
        row(memory, lambda one: one.resident, "MiB", Goal(limit=70)),
        row(keys, lambda one: one.per_key, "B", Goal(limit=650)),
        row(rest, lambda one: one.at_rest, "B/s", Goal(limit=0)),
    ]


def help_rows(options: Options) -> list[Row]:
    """`--help`: its time, and what of Textual it imports."""
    env = dict(os.environ) | {"PYTHONPATH": str(checkout.ROOT)}
    help_command = (sys.executable, "-m", "mtntui", "--help")
    calls: dict[str, Callable[[], float | str]] = {"ours": partial(run_time, help_command, env)}
    names = {}
    for package, program in {} if options.quick else _HELP_PEERS.items():
        calls[package] = partial(_peer_help, package, program)
        names[package] = f"{program} --help"
    results = in_turn(2 * options.rounds, calls)
    own = [value for value in results["ours"] if isinstance(value, float)]
    rows = [compare("mtntui --help", own, unit="s", better="lower", goal=Goal(limit=0.15))]
    for package, label in names.items():
        times = [value for value in results[package] if isinstance(value, float)]
        trouble = next((value for value in results[package] if isinstance(value, str)), "")
        rows.append(compare("mtntui --help", own, times, label if times else f"{label}: {trouble}", unit="s", better="lower"))
    imported = _textual_modules(help_command, env)
    return [
        *rows,
        compare("Textual's modules that --help imports", [imported], unit="modules", better="lower", goal=Goal(limit=0)),
    ]


def _peer_help(package: str, program: str) -> float | str:
    try:
        return run_time((str(environment(package) / "bin" / program), "--help"), os.environ)
    except PeerError as error:
        return str(error)


def _textual_modules(command: Sequence[str], env: dict[str, str]) -> float:
    python, *arguments = command
    done = subprocess.run([python, "-X", "importtime", *arguments], env=env, capture_output=True, text=True, check=True)
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return float(sum(module.split(".")[0] == "textual" for module in imported))


# Streaming


def reply_rows(options: Options) -> list[Row]:
    """The reply of 4.8 KB at 100 tokens/s, and an append below long messages."""
    text = reply_text(4800)
    name = f"{bare().name}, Markdown.get_stream"
    rounds = 1 if options.quick else options.rounds
    results = in_turn(
        rounds, {"our screen, streaming": lambda: stream_ours(text), "bare Textual, streaming": lambda: stream_bare(text)}
    )
    mine, theirs = results.values()
    appends = in_turn(rounds, {"appending": lambda: append_cost(16 if options.quick else 40)})["appending"]

    def row(title: str, figure: Callable[[Streamed], float], unit: str, limit: float) -> Row:
        return compare(
            title, [*map(figure, mine)], [*map(figure, theirs)], name, unit=unit, better="lower", goal=Goal(limit=limit)
        )

    return [
        row("4.8 KB reply, 12 s: processor time of the screen", lambda one: one.cpu, "s", 3),
        row("4.8 KB reply: its end visible after", lambda one: 1000 * one.lags[-1], "ms", 100),
        row("4.8 KB reply: words visible after, 95th percentile", lambda one: 1000 * _percentile(one.lags, 95), "ms", 100),
        compare("append to the tail below 50 long messages", appends, unit="ms", better="lower", goal=Goal(limit=15)),
    ]


def _percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


# Long lists


def list_rows(options: Options) -> list[Row]:
    """A conversation of 500 messages, and a list of 100,000 conversations."""
    with tempfile.TemporaryDirectory(prefix="mtntui-bench-") as folder:
        crowd = Crowd(Path(folder))
        calls: dict[str, Callable[[], Any]] = {
            "opening": lambda: open_long_conversation(500),
            "browsing": crowd.browse,
            "paging": lambda: crowd.page_down(5 if options.quick else 12),
        }
        results = in_turn(options.rounds, calls)
    pages = [1000 * seconds for presses in results["paging"] for seconds in presses]
    browsed = [1000 * seconds for seconds in results["browsing"]]
    opened = results["opening"]
    return [
        compare("opening a conversation of 500 messages", opened, unit="s", better="lower", goal=Goal(limit=0.3)),
        compare(f"a page of {CROWD:,} conversations from the store", browsed, unit="ms", better="lower", goal=Goal(limit=20)),
        compare(f"a page of {CROWD:,} conversations, key to painted", pages, unit="ms", better="lower", goal=Goal(limit=20)),
    ]


# A real model behind the screen


def chat_rows(options: Options) -> list[Row]:
    """Decoding through the screen beside the generator alone, and typing meanwhile."""
    model = workspace_with_model()
    tokens = 600 if options.quick else 1000

    def headless() -> dict[str, Any]:
        plan = {"threads": physical_cores(), "n": tokens, "only": [{"messages": [["user", STORY]], "ids": [], "unchecked": True}]}
        command = [sys.executable, str(Path(__file__).with_name("generators.py")), "ours", str(model.graph)]
        done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, check=False)
        if done.returncode:
            give_up(f"the generator alone: {done.stderr.strip()[-2000:]}")
        answer: dict[str, Any] = json.loads(done.stdout)["answers"][0]
        return answer

    say("checking that the screen and the generator alone answer alike")
    first, alone = chat(model, 64), headless()
    if not alone["text"].startswith(first.text[:100]) or not first.text:
        give_up(f"the replies differ: {first.text[:100]!r} and {alone['text'][:100]!r}")
    calls: dict[str, Callable[[], Any]] = {"through the screen": lambda: chat(model, tokens), "headless": headless}
    results = in_turn(1 if options.quick else options.rounds, calls)
    chats: list[Chatted] = results["through the screen"]
    if any(one.tokens != answer["tokens"] for one, answer in zip(chats, results["headless"], strict=True)):
        give_up(f"the screen's reply has {[one.tokens for one in chats]} tokens, the generator's {alone['tokens']}")
    return [
        compare(
            "decode through the chat screen, typing meanwhile",
            [one.rate for one in chats],
            [answer["rate"] for answer in results["headless"]],
            "ours headless, in process",
            unit="tokens/s",
            better="higher",
            goal=Goal(ratio=0.9),
        ),
        compare(
            "keys echoed within 50 ms while a reply streams",
            [one.echoed for one in chats],
            unit="%",
            better="higher",
            goal=Goal(limit=95),
        ),
        compare(
            "key to echo while a reply streams, median",
            [1000 * median(one.echoes) for one in chats],
            unit="ms",
            better="lower",
        ),
    ]


if __name__ == "__main__":
    main()
