"""What every room does: work beside the screen, and dialogs one at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

if TYPE_CHECKING:
    from mtntui.app import MtntuiApp


class Room(Screen[None]):
    """A screen that is a mode of the program."""

    app: MtntuiApp
    _asking = False

    def guard(self, awaitable: Awaitable[Any], group: str, *, exclusive: bool = False) -> None:
        """Do something beside the screen; what goes wrong is said, and ends nothing.

        Args:
            awaitable: what to do.
            group: the kind of thing it is.
            exclusive: whether what still goes on of this group is cancelled first. Never for what mounts or removes widgets:
                Textual would cancel those widgets' own tasks, and they would stay, dead.
        """

        async def guarded() -> None:
            try:
                await awaitable
            except Exception as error:
                self.app.say_error(error)

        self.run_worker(guarded(), group=group, exclusive=exclusive)

    def ask(self, asking: Callable[[], Awaitable[None]]) -> None:
        """Do something that opens a dialog, unless one is open or about to be: keys come in bursts, dialogs one at a time."""
        if self._asking:
            return
        self._asking = True

        async def ask() -> None:
            try:
                await asking()
            finally:
                self._asking = False

        self.guard(ask(), "dialog")
