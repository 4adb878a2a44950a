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
        download: how much that fetches and from where, in words; empty when only its graph is missing.
        elsewhere: whether another program is fetching it.
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
    elsewhere: reactive[bool] = reactive(False, init=False)

    def __init__(self, state: State, model: str, download: str = "", *, elsewhere: bool = False) -> None:
        super().__init__()
        self._state = state
        self._model = one_line(model, 60)
        self._download = download
        self.set_reactive(Welcome.elsewhere, elsewhere)

    def compose(self) -> ComposeResult:
        """The words, and the bar of a fetch."""
        yield Static(self._words(), id="words")
        yield PullProgress()

    def greet(self, model: str) -> None:
        """A model has come: invite the user to write."""
        self._state, self._model = "ready", one_line(model, 60)
        self._show()

    def watch_pull(self) -> None:
        """Show how far the fetch is."""
        self._show()

    def watch_elsewhere(self) -> None:
        """Show whether another program fetches."""
        self._show()

    def on_mount(self) -> None:
        """Show what was learnt since the words were made."""
        self._show()

    def _show(self) -> None:
        if not self.children:
            return
        told = self.pull.phase == "running" or (self.pull.phase != "idle" and not self.elsewhere)
        self.set_class(self._state == "no_model" and told, "-pulling")
        self.query_one(PullProgress).state = self.pull
        self.query_one("#words", Static).update(self._words())

    def _words(self) -> Content:
        title = Content.styled("mtntui", "bold $primary")
        if self._state == "ready":
            return Content.assemble(
                title, "\n\n", "Write below, and ", (self._model, "bold"), " answers.\n", (_HINT, "$foreground-muted")
            )
        missing = "There is no model on this machine yet." if self._download else "There is no model to chat with yet."
        return Content.assemble(title, "\n\n", missing, "\n", self._act())

    def _act(self) -> Content:
        enter = Content.styled("Enter", "bold $accent")
        if self.pull.phase == "running":
            stops = "stops waiting" if self.pull.waits else f"stops the {self.pull.task}"
            return Content(f"One is on its way. You may write meanwhile; Esc {stops}.")
        if self.elsewhere:
            return Content.assemble(
                "Another mtntui is fetching ", (self._model, "bold"), ".\nIt will answer here too; ",
                enter, " takes over should that one stop.",
            )  # fmt: skip
        if self.pull.phase in {"failed", "cancelled"}:
            return Content.assemble(enter, " tries again." if self.pull.phase == "failed" else " goes on with it.")
        offer = (
            Content.assemble(enter, " fetches ", (self._model, "bold"), f":\n{self._download}.")
            if self._download
            else Content.assemble(enter, " finishes ", (self._model, "bold"), ", whose weights are here.")
        )
        return Content.assemble(offer, "\n", ("Ctrl+O", "bold $accent"), " offers others.")


_HINT = "Everything is kept, on this machine alone. F1 shows all keys."
