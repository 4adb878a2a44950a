"""A small program that shows the corpus in one widget after the other. Argument: which widget."""

import asyncio
import sys
from collections.abc import Sequence

from security.hostile import CORPUS
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.filter import LineFilter
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from mtntui.widgets.control_filter import ControlFilter
from mtntui.widgets.message import AssistantMessage, StreamingMessage, UserMessage


def make(kind: str, text: str) -> Widget:
    """A widget that shows `text`."""
    if kind == "user":
        return UserMessage(1, text)
    if kind == "assistant":
        return AssistantMessage(1, text, model=text, status="failed", detail=text)
    if kind == "streaming":
        return StreamingMessage(1, model=text, rate=100)
    if kind == "unguarded":  # only the filter stands between this text and the terminal
        return Static(Content(text, strip_control_codes=False))
    if kind == "linked":
        return Static(Content("link").stylize(Style(link="http://x.example/" + text)))
    raise ValueError(kind)


class HostileApp(App[None]):
    """Shows each text of the corpus for a moment, then says so and ends."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), ControlFilter()]

    def compose(self) -> ComposeResult:
        yield VerticalScroll()

    def on_mount(self) -> None:
        self.run_worker(self.show_all())

    async def show_all(self) -> None:
        for name, text in CORPUS.items():
            shown = text.replace("\ud800", "").encode("utf-8", "replace").decode() if self.kind == "linked" else text
            await self.show(name, shown)
        self.exit(message="ALL SHOWN")

    async def show(self, name: str, text: str) -> None:
        widget = make(self.kind, text)
        place = self.query_one(VerticalScroll)
        await place.remove_children()
        await place.mount(Static(Content(f"<{name}>")), widget)
        if isinstance(widget, StreamingMessage):
            for at in range(0, min(len(text), 60), 2):
                widget.append_text(text[at : at + 2])
                await asyncio.sleep(0.003)
            widget.append_text(text[60:])
            widget.finish()
        await asyncio.sleep(0.06)


if __name__ == "__main__":
    HostileApp(sys.argv[1]).run()
