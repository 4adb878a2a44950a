"""The footer: which keys do what here and now, as many as fit."""

from __future__ import annotations

from textual.content import Content
from textual.events import Click, Mount
from textual.screen import Screen
from textual.widget import Widget


class KeyHints(Widget):
    """One line of keys with their actions, of the focused widget first; a click runs one.

    The last hints, those of the app (help), stay when others have to go.
    """

    DEFAULT_CSS = """
    KeyHints {
        height: 1;
        padding: 0 1;
        color: $text-muted;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._hints: list[tuple[str, str, str]] = []
        self._spans: list[tuple[int, int, str]] = []

    def _on_mount(self, event: Mount) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._refresh_hints)
        self._refresh_hints(self.screen)

    def _refresh_hints(self, screen: Screen[object]) -> None:
        hints: dict[str, tuple[str, str, str]] = {}
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled and binding.action not in hints:
                key = self.app.get_key_display(binding)
                hints[binding.action] = (key, binding.description, binding.key)
        if list(hints.values()) != self._hints:
            self._hints = list(hints.values())
            self.refresh()

    def render(self) -> Content:
        """The hints that fit."""
        width = self.content_size.width
        chosen, last = list(self._hints[:-1]), self._hints[-1:]
        while chosen and sum(len(key) + len(name) + 3 for key, name, _ in [*chosen, *last]) - 2 > width:
            chosen.pop()
        self._spans.clear()
        line, at = [], 0
        for key, name, binding in [*chosen, *last]:
            line += [Content.assemble((key, "bold $foreground"), " ", name)]
            self._spans.append((at, at + line[-1].cell_length, binding))
            at += line[-1].cell_length + 2
        return Content("  ").join(line)

    async def _on_click(self, event: Click) -> None:
        x = event.get_content_offset(self)
        for start, end, key in self._spans:
            if x is not None and start <= x.x < end:
                self.app.simulate_key(key)
