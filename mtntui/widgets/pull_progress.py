"""How far the fetch of a model is: one bar, its numbers, or what went wrong."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from engine.progress import Progress
from mtntui.model_pull import PullState
from mtntui.terminal_text import one_line, visible


class PullProgress(Widget):
    """Draws a `PullState`."""

    DEFAULT_CSS = """
    PullProgress {
        height: auto;
        width: 1fr;
        max-width: 64;
    }
    """
    state: reactive[PullState] = reactive(PullState(), layout=True)

    def render(self) -> Content:
        """The bar with its phase above and its numbers below, or the outcome."""
        state = self.state
        match state.phase:
            case "running":
                return self._waiting(state) if state.waits else self._bar(state)
            case "failed":
                return Content.assemble((visible(state.message), "$text-error"), "\n", (visible(state.hint), "$foreground-muted"))
            case "cancelled":
                kept = "The next one goes on from here." if state.task == "fetch" else "Nothing half made is left."
                return Content.assemble(
                    f"The {state.task} of {one_line(state.name, 60)} was stopped.\n", (kept, "$foreground-muted")
                )
            case "done":
                return Content(f"{one_line(state.model, 60)} is ready.")
            case _:
                return Content("")

    def _waiting(self, state: PullState) -> Content:
        return Content.assemble(
            "Another mtntui is at work on ", (one_line(state.name, 40), "bold"), ".\n",
            ("This one takes over as soon as that one ends.", "$foreground-muted"),
        )  # fmt: skip

    def _bar(self, state: PullState) -> Content:
        progress = state.progress or Progress("starting")
        head = Content.assemble((one_line(state.name, 40), "bold"), "  ", (one_line(progress.phase, 40), "$foreground-muted"))
        width = max(10, self.size.width - 1)
        if progress.total:
            done = round(width * min(1.0, progress.done / progress.total))
            bar = Content.assemble(("━" * done, "$primary"), ("━" * (width - done), "$surface-lighten-2"))
        else:
            bar = Content.styled("━" * width, "$surface-lighten-2")
        return Content.assemble(head, "\n", bar, "\n", (_amount(progress), "$foreground-muted"))


def _amount(progress: Progress) -> str:
    if not progress.done and not progress.total:
        return " "
    if progress.unit == "B":
        done = f"{progress.done / 1e6:,.1f}"
        return f"{done} of {progress.total / 1e6:,.1f} MB" if progress.total else f"{done} MB"
    unit = f" {one_line(progress.unit, 20)}" if progress.unit else ""
    return f"{progress.done:,.0f} of {progress.total:,.0f}{unit}" if progress.total else f"{progress.done:,.0f}{unit}"
