"""One line that says which model answers, what it is doing and how fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from mtntui.terminal_text import one_line


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


class StatusLine(Widget):
    """Shows a `Status`, leaving out what does not fit."""

    DEFAULT_CSS = """
    StatusLine {
        height: 1;
        padding: 0 1;
        color: $text-muted;
    }
    """
    status: reactive[Status] = reactive(Status())

    def set(self, **changes: Any) -> None:
        """Change some of the status."""
        self.status = replace(self.status, **changes)

    def render(self) -> Content:
        """The line: model and state on the left, numbers on the right."""
        status, width = self.status, self.content_size.width
        left = Content.assemble((one_line(status.model, 40) or "no model", "bold"))
        if status.state:
            left += Content.assemble("  ", (one_line(status.state, 60), "$accent" if status.busy else ""))
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
