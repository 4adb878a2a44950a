"""Long conversations and long lists on the screen."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from harness import give_up
from programs import moments, ours, paint, running
from pty_program import PtyProgram
from stores import LONG_TAIL, SHORT_TAIL, add_conversation, crowded_store, new_store

from engine.store.conversations import Conversations
from engine.store.database import Database

CROWD = 100_000
_LIST_KEY = "\x0c"  # ctrl+l
_DOWN = "\x1b[B"
_PAGE_DOWN = "\x1b[6~"
_PAGE = 100


def open_long_conversation(messages: int) -> float:
    """Seconds from Enter in the list until the end of a conversation of so many messages is on the screen."""
    with tempfile.TemporaryDirectory(prefix="mtntui-bench-") as folder:
        workspace = new_store(Path(folder) / "home")
        add_conversation(workspace, messages, 600, LONG_TAIL)
        time.sleep(0.01)  # times on record are to the millisecond, and the next one is to be newer
        add_conversation(workspace, 4, 200, SHORT_TAIL)
        program = ours(workspace.home)
        with running(program) as terminal:
            paint(program, terminal)
            terminal.wait_for(SHORT_TAIL)
            terminal.send(_LIST_KEY)
            terminal.wait_for(f"{messages} messages")
            terminal.send(_DOWN)
            terminal.wait_until_quiet(0.5)
            start = time.monotonic()
            terminal.send("\r")
            terminal.wait_for(LONG_TAIL, timeout=30)
            terminal.wait_until_quiet(0.3)
            seen = moments(terminal.chunks, [lambda shown: LONG_TAIL in shown])[0]
    assert seen is not None  # it was waited for
    return seen - start


class Crowd:
    """A workspace with 100,000 conversations, for the time of one benchmark.

    Args:
        folder: takes a copy of the cached one.
    """

    def __init__(self, folder: Path) -> None:
        self._workspace = crowded_store(folder / "home", CROWD)

    def browse(self) -> float:
        """Seconds to fetch one page of the list from the store, from the top or from its middle."""
        database = Database(self._workspace.database)
        try:
            conversations = Conversations(database)
            conversations.browse(limit=_PAGE)  # a screen has its connection and its cache already
            start = time.perf_counter()
            page = conversations.browse(limit=_PAGE)
            seconds = time.perf_counter() - start
        finally:
            database.close()
        if len(page) != _PAGE or page[0].title != f"About subject {CROWD - 1}":
            give_up(f"the page holds {len(page)} conversations, the first is {page[0].title!r}")
        return seconds

    def page_down(self, presses: int) -> list[float]:
        """Seconds from each press of page down in the list until it is painted, fetching more from the store where needed."""
        program = ours(self._workspace.home)
        with running(program) as terminal:
            paint(program, terminal)
            terminal.send(_LIST_KEY)
            terminal.wait_for(f"About subject {CROWD - 1}", timeout=20)
            terminal.wait_until_quiet(0.7)
            return [_painted(terminal) for _ in range(presses)]


def _painted(terminal: PtyProgram) -> float:
    """Send page down; the time of the last thing written because of it."""
    before = len(terminal.chunks)
    start = time.monotonic()
    terminal.send(_PAGE_DOWN)
    time.sleep(0.6)  # shorter than the screen's own look at the store takes to come round twice
    new = [moment for moment, data in terminal.chunks[before:] if moment - start < 0.5]
    if not new:
        give_up(f"page down painted nothing; the screen:\n{terminal.text()}")
    return new[-1] - start
