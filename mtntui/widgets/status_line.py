"""One line that says which model answers, what it is doing and how fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from mtntui.terminal_text import one_line
from mtntui.widgets.page import wrap

_FEW_WORDS = 40
"""Characters of a state that stands in the line itself."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the line shows.

    Attributes:
        model: its name; empty when none was chosen.
        state: a word or two; empty when nothing goes on.
        busy: whether a reply is being made.
        first_token_ms: from the request to the reply's first token.
        tokens_per_second: decoding alone.
        context_used: tokens in the model's context.
        context_length: how many fit.
    """

    model: str = ""
    state: str = ""
    busy: bool = False
    first_token_ms: float | None = None
    tokens_per_second: float | None = None
    context_used: int | None = None
    context_length: int | None = None

    @property
    def sentence(self) -> str:
        """What the state says when it is more than a few words (why a reply cannot be saved); empty otherwise."""
        state = one_line(self.state)
        return state.removesuffix("…") if len(state) > _FEW_WORDS else ""


class StatusLine(Widget):
    """Shows a `Status`, leaving out numbers that do not fit; a whole sentence has rows of its own below."""

    DEFAULT_CSS = """
    StatusLine {
        height: auto;
        max-height: 6;
        padding: 0 1;
        color: $text-muted;
    }
    """
    status: reactive[Status] = reactive(Status())

    def set(self, **changes: Any) -> None:
        """Change some of the status."""
        self.status = replace(self.status, **changes)

    def watch_status(self, old: Status, new: Status) -> None:
        """Take the rows that a sentence needs."""
        if old.sentence != new.sentence:
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row, and those of a sentence."""
        return 1 + len(self._rows(width))

    def render(self) -> Content:
        """The line: model and state on the left, numbers on the right; below it a sentence."""
        width = self.content_size.width
        return Content("\n").join([self._line(width), *(Content.styled(row, "$foreground") for row in self._rows(width))])

    def _rows(self, width: int) -> list[str]:
        if not (sentence := self.status.sentence):
            return []
        starts = wrap(sentence, max(1, width))
        return [sentence[start:end].rstrip() for start, end in zip(starts, [*starts[1:], None], strict=True)]

    def _line(self, width: int) -> Content:
        status = self.status
        left = Content.assemble((one_line(status.model, 40) or "no model", "bold"))
        if status.state and not status.sentence:
            left += Content.assemble("  ", (one_line(status.state), "$accent" if status.busy else ""))
        parts = _numbers(status)
        while parts and left.cell_length + 2 + _length(parts) > width:
            parts.pop(0)
        right = Content("   ".join(parts))
        gap = max(1, width - left.cell_length - right.cell_length)
        return Content.assemble(left, " " * gap, right) if parts else left


def _length(parts: list[str]) -> int:
    return sum(map(len, parts)) + 3 * (len(parts) - 1)


def _numbers(status: Status) -> list[str]:
    """The numbers, the most dispensable first."""
    parts: list[str] = []
    if status.first_token_ms:  # none came before the reply was stopped
        first = status.first_token_ms
        parts.append(f"first token {first:.0f} ms" if first < 1000 else f"first token {first / 1000:.1f} s")
    if status.tokens_per_second is not None:
        parts.append(f"{status.tokens_per_second:.0f} tokens/s")
    if status.context_used is not None and status.context_length:
        share = 100 * status.context_used / status.context_length
        parts.append(f"{status.context_used:,} of {status.context_length:,} tokens ({share:.0f} %)")
    return parts
