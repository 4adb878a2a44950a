"""Terminal programs under measurement: how each is started, what its first screenful shows, and what it does with keys."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import checkout
import psutil  # type: ignore[import-untyped]
import pyte
from peers import PINNED, PeerError, environment
from pty_program import PtyProgram

COLUMNS, ROWS = 80, 24
_SETTLE_SECONDS = 4  # a blinking cursor is never quiet
TYPED = "the quick brown fox jumps over it"


@dataclass(frozen=True, slots=True)
class Program:
    """A program and how to know that its first screenful is there.

    Attributes:
        name: for the table.
        command: with its arguments.
        ready: text on the screen that says so; for a program with a prompt, its prompt.
        typing: whether keys then go into a prompt.
        env: variables over this process's.
        files: written into its home before it starts, by name.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    typing: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visit:
    """What one start of a program showed.

    Attributes:
        painted: seconds from exec to the first screenful.
        resident: MiB, with its children, when it had come to rest.
        at_rest: bytes per second.
        per_key: bytes per key typed; None for a program without a prompt.
    """

    painted: float
    resident: float
    at_rest: float
    per_key: float | None


def ours(home: Path) -> Program:
    """Our chat screen over a workspace."""
    return Program(
        "mtntui",
        (sys.executable, "-m", "mtntui"),
        "Write a message",
        env={"MTNTUI_HOME": str(home), "PYTHONPATH": str(checkout.ROOT)},
    )


def bare() -> Program:
    """A minimal Textual program."""
    from importlib.metadata import version

    script = Path(__file__).with_name("bare_textual.py")
    return Program(f"bare Textual {version('textual')}", (sys.executable, str(script)), "Write a message")


_PEERS: dict[str, tuple[str, str, bool, dict[str, str]]] = {
    "elia-chat": ("elia", "Enter your message", True, {}),
    "posting": ("posting", "Enter a URL", True, {}),
    "harlequin": ("harlequin", "Run Query", True, {}),
    # Without Ollama it has no prompt yet, only its first screen; its splash screen is left out in its favour.
    "oterm": ("oterm", "Welcome to oterm", False, {"data/config.json": json.dumps({"splash-screen": False})}),
}
"""Package to program, what its first screenful shows, whether keys go into a prompt, and files of its own."""

PEERS = tuple(_PEERS)


def peer(package: str) -> Program:
    """Another terminal program, set up when it is not there.

    Raises:
        PeerError: it cannot be installed here.
    """
    program, ready, typing, files = _PEERS[package]
    path = environment(package) / "bin" / program
    # Each looks for its files in other places; all of them are its temporary home.
    env = {"OTERM_DATA_DIR": "data"} if package == "oterm" else {}
    return Program(f"{program} {PINNED[package][0]}", (str(path),), ready, typing, env, files)


@contextmanager
def running(program: Program) -> Iterator[PtyProgram]:
    """The program in a pseudo-terminal of 80 by 24, with a home of its own."""
    with tempfile.TemporaryDirectory(prefix="mtntui-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        for name, text in program.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        env: dict[str, str | None] = {"HOME": folder, "SHELL": "/bin/sh", "TEXTUAL_FPS": None}
        env |= {f"XDG_{kind}_HOME": f"{folder}/{kind.lower()}" for kind in ("CONFIG", "DATA", "CACHE", "STATE")}
        env |= {name: str(home / value) if name == "OTERM_DATA_DIR" else value for name, value in program.env.items()}
        with PtyProgram(program.command, columns=COLUMNS, rows=ROWS, env=env, cwd=folder) as terminal:
            yield terminal


def visit(program: Program, *, rest: float, keys: int) -> Visit:
    """Start a program, let it come to rest, type into it.

    Args:
        rest: seconds to listen at rest.
        keys: how many to type, at 8 a second.

    Raises:
        PeerError: it did not show its first screenful.
    """
    with running(program) as terminal:
        painted = paint(program, terminal)
        resident = resident_mebibytes(terminal.process.pid)
        at_rest = len(terminal.collect(rest)) / rest
        per_key = _bytes_per_key(terminal, keys) if program.typing else None
    return Visit(painted, resident, at_rest, per_key)


def paint(program: Program, terminal: PtyProgram) -> float:
    """Wait for the first screenful, then for rest; returns the seconds from exec to that screenful.

    Raises:
        PeerError: it did not come.
    """
    # Looked at only when it falls silent: interpreting its output meanwhile would take a processor from it.
    deadline = time.monotonic() + 30
    while program.ready not in terminal.text():
        terminal.wait_until_quiet(0.2, timeout=2)
        if (status := terminal.process.poll()) is not None:
            raise PeerError(f"it ended with status {status}")
        if time.monotonic() > deadline:
            raise PeerError("no first screen within 30 s")
        time.sleep(0.05)
    terminal.wait_until_quiet(0.7, timeout=_SETTLE_SECONDS)
    moment = moments(terminal.chunks, [lambda shown: program.ready in shown])[0]
    assert moment is not None  # it was on the screen
    return moment - terminal.started


def _bytes_per_key(terminal: PtyProgram, keys: int) -> float:
    terminal.send("w")  # the first key removes a placeholder and may bring in more
    terminal.wait_until_quiet(0.5, timeout=5)
    before = len(terminal.output)
    typed = (TYPED * (keys // len(TYPED) + 1))[:keys]
    for key in typed:
        terminal.send(key)
        time.sleep(0.125)
    terminal.wait_until_quiet(0.3, timeout=2)
    if typed[-8:].split()[-1] not in terminal.text():
        raise PeerError(f"what was typed is not on the screen:\n{terminal.text()}")
    return (len(terminal.output) - before) / keys


def resident_mebibytes(pid: int) -> float:
    """Resident memory of a process and its children."""
    process = psutil.Process(pid)
    return float(sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 2**20)


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def moments(chunks: Sequence[tuple[float, bytes]], conditions: Sequence[Callable[[str], bool]]) -> list[float | None]:
    """When each condition first held on the screen, in their order: none is looked for before the one before it held.

    The output is replayed afterwards, so that the terminal's own work takes nothing from the program while it is measured.
    """
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    found: list[float | None] = []
    for moment, data in chunks:
        stream.feed(data)
        if len(found) == len(conditions):
            break
        shown = "\n".join(screen.display)
        while len(found) < len(conditions) and conditions[len(found)](shown):
            found.append(moment)
    return found + [None] * (len(conditions) - len(found))


def run_time(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Seconds that a command takes from exec to its end.

    Raises:
        PeerError: it failed.
    """
    start = time.perf_counter()
    done = subprocess.run(command, env=dict(env), capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise PeerError(f"status {done.returncode}: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return time.perf_counter() - start
