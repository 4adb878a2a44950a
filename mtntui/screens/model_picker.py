"""Choosing the model that answers, or fetching another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.store.models import ModelRecord
from mtntui.keymap import command
from mtntui.model_pull import PullState
from mtntui.screens.dialog import Dialog
from mtntui.services import Services
from mtntui.terminal_text import one_line
from mtntui.widgets.pull_progress import PullProgress

_FETCH = "fetch:"
"""Marks the options that fetch a model."""


class ModelPicker(Dialog[str]):
    """Lists the models that can be chatted with; typing filters them, and names what else to fetch.

    Its result is the chosen model's name. A fetch goes on when the dialog is left.

    Args:
        services: the engine's parts.
        current: the model in use.
    """

    DEFAULT_CSS = """
    ModelPicker {
        & Input { border: none; height: 1; background: $boost; padding: 0 1; margin-bottom: 1; &:focus { border: none; } }
        & OptionList {
            height: auto;
            max-height: 14;
            border: none;
            padding: 0;
            background: transparent;
            scrollbar-size-vertical: 1;
            &:focus { border: none; background-tint: transparent 0%; }
        }
        & PullProgress { margin-top: 1; max-width: 100%; display: none; }
        &.-pulling PullProgress { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("models.next", "down", "move(1)", "Next", "Go down the list.", priority=True),
        command("models.previous", "up", "move(-1)", "Previous", "Go up the list.", priority=True),
        command(
            "models.stop", "ctrl+x", "cancel_fetch", "Stop fetch", "Stop the fetch; it can go on later.", show=True, priority=True
        ),
    ]

    def __init__(self, services: Services, current: str) -> None:
        super().__init__()
        self._services = services
        self._current = current
        self._models: list[ModelRecord] = []
        self._unlisten: Callable[[], None] = lambda: None

    def compose(self) -> ComposeResult:
        """The filter over the list, the progress of a fetch, the keys."""
        with Vertical(id="box"):
            yield Static("Model", id="title", markup=False)
            yield Input(placeholder="Filter, or ORG/NAME to fetch from the Hub", compact=True)
            yield OptionList(markup=False, compact=True)
            yield PullProgress()
            yield Static("", id="hint", markup=False)

    def on_mount(self) -> None:
        """List what there is, and follow a fetch that is under way."""
        self.query_one(Input).cursor_blink = False
        self.query_one(OptionList).can_focus = False
        self._unlisten = self._services.pull.listen(self._pulled)
        self._read()
        self._pulled(self._services.pull.state)

    def on_unmount(self) -> None:
        """Stop listening; the fetch goes on."""
        self._unlisten()

    def _read(self) -> None:
        self._models = self._services.runnable_models()
        self._fill(self.query_one(Input).value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, text: str) -> None:
        models = self.query_one(OptionList)
        words = text.lower().split()
        found = [model for model in self._models if all(word in model.name.lower() for word in words)]
        models.set_options([*(Option(self._row(model), model.name) for model in found), *self._offers(text.strip())])
        names = [model.name for model in found]
        models.highlighted = (names.index(self._current) if self._current in names else 0) if models.option_count else None
        if not self._services.pull.running:
            hint = (
                "Enter chooses. Esc leaves."
                if models.option_count
                else "No model has this name. ORG/NAME fetches one from the Hub."
            )
            self.query_one("#hint", Static).update(hint)

    def _row(self, model: ModelRecord) -> Content:
        context = f"{model.context_length:,} tokens" if model.context_length else ""
        facts = "  ".join(filter(None, (model.precision, context, _size(model.size_bytes))))
        mark = Content.styled("• " if model.name == self._current else "  ", "$accent")
        name = Content(one_line(model.name, 40))
        return Content.assemble(mark, name, " " * max(2, 38 - name.cell_length), (one_line(facts), "$foreground-muted"))

    def _offers(self, text: str) -> Iterator[Option]:
        from engine.models.catalogue import KNOWN

        stems = {model.name for model in self._services.models.all()}
        for entry in KNOWN.values():
            if entry.name not in stems and text.lower() in entry.name:
                row = Content.assemble(
                    "  Fetch ", (entry.name, "bold"), "\n  ", (one_line(entry.summary, 62), "$foreground-muted")
                )
                yield Option(row, _FETCH + entry.name)
        if text.count("/") == 1 and all(text.split("/")):
            yield Option(Content.assemble("  Fetch ", (one_line(text, 50), "bold"), " from the Hub"), _FETCH + text)

    def action_move(self, step: int) -> None:
        """Move through the list while the filter keeps the focus."""
        models = self.query_one(OptionList)
        (models.action_cursor_down if step > 0 else models.action_cursor_up)()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        name = event.option_id or ""
        if not name.startswith(_FETCH):
            self.dismiss(name)
        elif self._services.pull.running:
            self.query_one("#hint", Static).update("One model is being fetched already. Ctrl+X stops it.")
        else:
            self._services.pull.start(name.removeprefix(_FETCH))

    def action_cancel_fetch(self) -> None:
        """Stop the fetch."""
        self._services.pull.cancel()

    def _pulled(self, state: PullState) -> None:
        self.set_class(state.phase != "idle", "-pulling")
        self.query_one(PullProgress).state = state
        if state.phase == "running":
            self.query_one("#hint", Static).update("Ctrl+X stops the fetch. Esc leaves; the fetch goes on.")
        elif state.phase == "done":
            self._current = state.model
            self._read()


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
