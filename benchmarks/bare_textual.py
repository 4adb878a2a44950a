"""The least that a Textual program does, as the floor that ours is measured against.

Run as `python bare_textual.py` for a Static over an Input, or `python bare_textual.py TEXT_FILE LOG RATE CHARACTERS` for
Textual's own streaming of Markdown: Enter starts it, and LOG takes the time of each token when it is over.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from time import monotonic

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Input, Markdown, Static

_BETWEEN_DELTAS = 1 / 30  # as our inference host hands its text on


class Bare(App[None]):
    """A Static over an Input of one row, as ours has."""

    def compose(self) -> ComposeResult:
        """Both."""
        yield Static("Hello", expand=True)
        yield Input(placeholder="Write a message", compact=True)


class Streaming(App[None]):
    """A Markdown document that grows by `Markdown.get_stream`, followed at its end."""

    CSS = "VerticalScroll { height: 1fr; }"

    def __init__(self, text: str, log: Path, rate: float, characters: int) -> None:
        super().__init__()
        self._tokens = [text[start : start + characters] for start in range(0, len(text), characters)]
        self._times_file = log
        self._rate = rate

    def compose(self) -> ComposeResult:
        """The document over an Input."""
        with VerticalScroll():
            yield Markdown()
        yield Input(placeholder="Write a message", compact=True)

    def on_mount(self) -> None:
        """Type, and follow the end."""
        self.query_one(Input).focus()
        self.query_one(VerticalScroll).anchor()

    def on_input_submitted(self) -> None:
        """Begin."""
        self.run_worker(self._stream())

    async def _stream(self) -> None:
        stream = Markdown.get_stream(self.query_one(Markdown))
        start, times = monotonic(), []
        unsent, sent = "", 0.0
        for number, token in enumerate(self._tokens):
            await asyncio.sleep(max(0.0, start + number / self._rate - monotonic()))
            times.append(monotonic())
            unsent += token
            if times[-1] - sent >= _BETWEEN_DELTAS or number == len(self._tokens) - 1:
                sent, piece, unsent = times[-1], unsent, ""
                await stream.write(piece)
        await stream.stop()
        part = self._times_file.with_suffix(".part")
        part.write_text(json.dumps(times))
        part.replace(self._times_file)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        source, log, rate, characters = sys.argv[1:]
        Streaming(Path(source).read_text(encoding="utf-8"), Path(log), float(rate), int(characters)).run()
    else:
        Bare().run()
