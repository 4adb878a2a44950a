"""Where the user writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.widgets import TextArea

from mtntui.keymap import command
from mtntui.widgets.exact_text_area import ExactTextArea
from mtntui.widgets.prompt_text import Pastes, PromptHistory


class Prompt(ExactTextArea):
    """A text area that starts with one row, grows with its text, and sends it with Enter.

    Args:
        placeholder: what an empty prompt shows.
        send: takes all of the text, large pastes included, and says whether it is on its way; what is not stays in the prompt.
    """

    DEFAULT_CSS = """
    Prompt {
        width: 1fr;
        height: 1;
        border: none;
        padding: 0;
        background: transparent;
        scrollbar-size-vertical: 1;
        &:focus { border: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("prompt.send", "enter", "submit", "Send", "Send what stands in the prompt.", priority=True),
        command(
            "prompt.newline",
            "ctrl+j,shift+enter,alt+enter",
            "newline",
            "New line",
            "Begin a new line. Ctrl+J works in every terminal; the others where the terminal sends them.",
            priority=True,
        ),
        command(
            "prompt.older",
            "up",
            "older",
            "Earlier prompt",
            "In an empty prompt: bring back what you wrote before. Otherwise the cursor moves up.",
        ),
        command("prompt.newer", "down", "newer", "Later prompt", "Back towards the newest prompt."),
    ]

    def __init__(self, placeholder: str, send: Callable[[str], bool], *, id: str | None = None) -> None:
        super().__init__(
            id=id, soft_wrap=True, compact=True, highlight_cursor_line=False, placeholder=placeholder, tab_behavior="focus"
        )
        self.cursor_blink = False  # It would cost 400 B/s at rest.
        self.match_cursor_bracket = False
        self.pastes = Pastes()
        self.earlier = PromptHistory()
        self._send = send
        self._recalled: str | None = None

    @on(TextArea.Changed)
    def fit(self) -> None:
        """Take as many rows as the text needs, up to a third of the screen.

        Not by `height: auto` with a maximum: what holds the prompt would be as high as all of the text.
        """
        self.styles.height = max(1, min(self.wrapped_document.height, self.app.size.height // 3))
        self.scroll_cursor_visible()

    def on_resize(self) -> None:
        """Another width wraps the text otherwise."""
        self.call_after_refresh(self.fit)

    def on_paste(self, event: events.Paste) -> None:
        """Let a large paste in as a placeholder, so that typing stays fluid."""
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")  # tmux and others paste line ends as Enter
        if self.pastes.wants(text):
            event.prevent_default()
            event.stop()
            self._replace_via_keyboard(self.pastes.add(text), *self.selection)

    def put(self, text: str) -> None:
        """Replace what stands in the prompt, placeholders included; the cursor goes to the end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    def put_back(self, text: str) -> None:
        """Return text that could not be sent, before what was typed since."""
        if self.pastes.wants(text) and text != self.pastes.expand(self.text):
            text = self.pastes.add(text)
        self.put(f"{text}\n{self.text}" if self.text.strip() and self.text != text else text)

    def action_submit(self) -> None:
        """Offer the prompt to whoever sends it; it may be empty."""
        # A priority binding runs before the keys that still wait in this widget's queue. When text and Enter come in one
        # burst (a script, a slow line), half of it would be sent: so this waits its turn.
        self.call_later(self._offer)

    def _offer(self) -> None:
        # Called, not posted: with a message, what else came in the burst would be in the prompt before it is emptied.
        text = self.pastes.expand(self.text)
        if self._send(text):
            self.earlier.add(text)
            self._recalled = None
            self.put("")

    async def settle(self) -> None:
        """Wait until the keys that were pressed before this was called stand in the prompt, or were offered."""
        settled = asyncio.Event()
        self.call_later(settled.set)
        await settled.wait()

    def action_newline(self) -> None:
        """Break the line at the cursor."""
        self.call_later(self._break_line)

    def _break_line(self) -> None:
        start, end = self.selection
        self._replace_via_keyboard("\n", start, end)

    def action_older(self) -> None:
        """Recall an earlier prompt when nothing was typed; move up otherwise."""
        if self.text not in {"", self._recalled} or not self.cursor_at_first_line:
            self.action_cursor_up()
        elif (prompt := self.earlier.older()) is not None:
            self._recall(prompt)

    def action_newer(self) -> None:
        """Recall a later prompt while recalling; move down otherwise."""
        if self._recalled is None or self.text != self._recalled or not self.cursor_at_last_line:
            self.action_cursor_down()
        else:
            self._recall(self.earlier.newer())

    def _recall(self, prompt: str) -> None:
        shown = self.pastes.add(prompt) if self.pastes.wants(prompt) else prompt
        self._recalled = shown or None
        self.put(shown)
        self.move_cursor((0, 0) if shown else self.document.end)

    def action_delete_left(self) -> None:
        """Delete a character, or a placeholder as one."""
        row, column = self.cursor_location
        mark = self.pastes.ending(self.document.get_line(row)[:column]) if self.selection.is_empty else None
        if mark is None:
            super().action_delete_left()
        else:
            self.delete((row, column - len(mark)), (row, column))
