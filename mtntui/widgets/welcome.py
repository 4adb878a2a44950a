"""What an empty transcript shows: an invitation, or the offer to fetch a first model."""

from __future__ import annotations

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from mtntui.model_pull import PullState
from mtntui.terminal_text import one_line
from mtntui.widgets.pull_progress import PullProgress

State = Literal["ready", "no_model"]


class Welcome(Vertical):
    """A few calm lines in the middle.

    Args:
        state: whether a model is there.
        model: its name, or the name of the one to fetch.
        download: how much that fetches, in words.
    """

    DEFAULT_CSS = """
    Welcome {
        width: 1fr;
        max-width: 68;
        height: 1fr;
        padding: 0 2;
        align-vertical: middle;
        & Static { height: auto; width: 1fr; }
        & PullProgress { margin-top: 1; display: none; }
        &.-pulling PullProgress { display: block; }
    }
    """
    pull: reactive[PullState] = reactive(PullState(), init=False)

    def __init__(self, state: State, model: str, download: str = "") -> None:
        super().__init__()
        self._state = state
        self._model = one_line(model, 60)
        self._download = download

    def compose(self) -> ComposeResult:
        """The words, and the bar of a fetch."""
        yield Static(self._words(PullState()), id="words")
        yield PullProgress()

    def watch_pull(self, state: PullState) -> None:
        """Show how far the fetch is."""
        self.set_class(state.phase != "idle", "-pulling")
        self.query_one(PullProgress).state = state
        self.query_one("#words", Static).update(self._words(state))

    def _words(self, pull: PullState) -> Content:
        title = Content.styled("mtntui", "bold $primary")
        if self._state == "ready":
            return Content.assemble(
                title, "\n\n", "Write below, and ", (self._model, "bold"), " answers.\n", (_HINT, "$foreground-muted")
            )
        match pull.phase:
            case "running":
                act = Content("One is on its way. You may write meanwhile; Esc stops it.")
            case "failed" | "cancelled":
                act = Content.assemble(("Enter", "bold $accent"), " tries again.")
            case _:
                act = Content.assemble(
                    ("Enter", "bold $accent"), f" fetches {self._model}{self._download}.\n",
                    ("Ctrl+O", "bold $accent"), " offers others.",
                )  # fmt: skip
        return Content.assemble(title, "\n\n", "There is no model on this machine yet.\n", act)


_HINT = "Everything is kept, on this machine alone. F1 shows all keys."
