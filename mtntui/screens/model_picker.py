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

from engine.errors import EngineError
from engine.store.models import ModelRecord
from mtntui.keymap import command
from mtntui.model_pull import PullState, Task, unfinished
from mtntui.screens.dialog import Dialog
from mtntui.services import Services
from mtntui.terminal_text import one_line, visible
from mtntui.widgets.pull_progress import PullProgress

_TASKS: dict[str, Task] = {"fetch:": "fetch", "build:": "build"}
"""What the options begin with that fetch a model, or build its graph; no model's name holds a colon."""

_UNFINISHED: dict[Task, tuple[str, str]] = {
    "fetch": ("Finish", "The weights are here, the graph is not."),
    "build": ("Build", "Weights without a graph to chat with."),
}


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
        self._names: set[str] = set()
        self._unfinished: dict[str, Task] = {}
        self._phase = ""
        self._trouble = ""
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
        self._pulled(self._services.pull.state)

    def on_unmount(self) -> None:
        """Stop listening; the fetch goes on."""
        self._unlisten()

    def _read(self) -> None:
        """Read what there is; when that fails, say so in the place of the keys and keep what is shown."""
        try:
            every = self._services.models.all()
        except EngineError as error:
            self._trouble = visible(str(error))
            self._hint()
            return
        self._trouble = ""
        self._names = {model.name for model in every}
        self._models = [model for model in every if model.chats]
        self._unfinished = unfinished(every)
        self._fill(self.query_one(Input).value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, text: str) -> None:
        models = self.query_one(OptionList)
        chosen = models.highlighted_option
        words = text.lower().split()
        found = [model for model in self._models if all(word in model.name.lower() for word in words)]
        options = [*(Option(self._row(model), model.name) for model in found), *self._offers(text.strip())]
        models.set_options(options)
        names = [option.id for option in options]
        wanted = self._current if self._current in names else chosen.id if chosen is not None else ""
        models.highlighted = (names.index(wanted) if wanted in names else 0) if names else None
        self._hint()

    def _hint(self) -> None:
        pull = self._services.pull
        if self._trouble:
            hint = self._trouble
        elif pull.running:
            hint = f"Ctrl+X stops the {pull.state.task}. Esc leaves; the {pull.state.task} goes on."
        elif self.query_one(OptionList).option_count:
            hint = "Enter chooses. Esc leaves."
        else:
            hint = "No model has this name. ORG/NAME fetches one from the Hub."
        self.query_one("#hint", Static).update(hint)

    def _row(self, model: ModelRecord) -> Content:
        context = f"{model.context_length:,} tokens" if model.context_length else ""
        facts = "  ".join(filter(None, (model.precision, context, _size(model.size_bytes))))
        mark = Content.styled("• " if model.name == self._current else "  ", "$accent")
        name = Content(one_line(model.name, 40))
        return Content.assemble(mark, name, " " * max(2, 38 - name.cell_length), (one_line(facts), "$foreground-muted"))

    def _offers(self, text: str) -> Iterator[Option]:
        from engine.models.catalogue import KNOWN

        for name, task in self._unfinished.items():
            if text.lower() in name:
                verb, missing = _UNFINISHED[task]
                row = Content.assemble(f"  {verb} ", (one_line(name, 40), "bold"), "\n  ", (missing, "$foreground-muted"))
                yield Option(row, f"{task}:{name}")
        for entry in KNOWN.values():
            if entry.name not in self._names and text.lower() in entry.name:
                about = (f"{one_line(entry.summary, 62)}\n  {one_line(entry.download, 62)}", "$foreground-muted")
                yield Option(Content.assemble("  Fetch ", (entry.name, "bold"), "\n  ", about), f"fetch:{entry.name}")
        if text.count("/") == 1 and all(text.split("/")):
            yield Option(Content.assemble("  Fetch ", (one_line(text, 50), "bold"), " from the Hub"), f"fetch:{text}")

    def action_move(self, step: int) -> None:
        """Move through the list while the filter keeps the focus."""
        models = self.query_one(OptionList)
        (models.action_cursor_down if step > 0 else models.action_cursor_up)()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        mark, colon, name = (event.option_id or "").partition(":")
        task = _TASKS.get(mark + colon)
        if task is None:
            self.dismiss(event.option_id)
        elif self._services.pull.running:
            self.query_one("#hint", Static).update("One model is being made ready already. Ctrl+X stops that.")
        else:
            self._services.pull.start(name, task)

    def action_cancel_fetch(self) -> None:
        """Stop the fetch."""
        self._services.pull.cancel()

    def _pulled(self, state: PullState) -> None:
        self.set_class(state.phase != "idle", "-pulling")
        self.query_one(PullProgress).state = state
        if state.phase == self._phase:
            return
        self._phase = state.phase
        if state.phase == "done":
            self._current = state.model
        self._read()


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
