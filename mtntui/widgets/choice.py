"""One of a few values, chosen with the arrow keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from mtntui.keymap import command
from mtntui.terminal_text import one_line


class Choice(Widget, can_focus=True):
    """Shows the chosen value, and how many others there are.

    Args:
        options: labels with their values; labels may be text that others wrote.
        value: the one chosen at first; the first option where it is none of them.
        nothing: what to say when there are no options.
    """

    DEFAULT_CSS = """
    Choice {
        height: 1;
        padding: 0 1;
        background: $boost;
        &:focus { background: $primary-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("choice.next", "right,space", "step(1)", "Next value", "Choose the next value.", show=True),
        command("choice.previous", "left", "step(-1)", "Value before", "Choose the value before."),
    ]

    class Changed(Message):
        """Another value is chosen."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> Choice:
            """Whose value it is."""
            return self.choice

    def __init__(self, options: Sequence[tuple[str, str]], value: str = "", nothing: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._options = list(options)
        self._nothing = nothing
        values = [option for _, option in self._options]
        self._at = values.index(value) if value in values else 0

    @property
    def value(self) -> str:
        """The chosen value; empty when there is none to choose."""
        return self._options[self._at][1] if self._options else ""

    def action_step(self, step: int) -> None:
        """Choose another one, and after the last the first."""
        if len(self._options) > 1:
            self._at = (self._at + step) % len(self._options)
            self.refresh()
            self.post_message(self.Changed(self))

    def on_click(self) -> None:
        """Choose the next one."""
        self.action_step(1)

    def render(self) -> Content:
        """The chosen one between arrows."""
        if not self._options:
            return Content.styled(self._nothing, "$foreground-muted")
        label = Content(one_line(self._options[self._at][0], max(8, self.size.width - 14)))
        if len(self._options) == 1:
            return label
        place = f"  {self._at + 1} of {len(self._options)}"
        return Content.assemble(("‹ ", "$text-accent"), label, (" ›", "$text-accent"), (place, "$foreground-muted"))
