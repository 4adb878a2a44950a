"""When drafts are written to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    from textual.timer import Timer

    from mtntui.screens.chat.screen import ChatScreen

_SECONDS = 1.0


class DraftSaving:
    """Keeps what is written as a draft, at most once a second.

    Args:
        screen: whose prompt it is written in.
    """

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._timer: Timer | None = None
        self._refused = False

    def written(self) -> None:
        """The prompt has changed."""
        self._screen.desk.keep_draft()
        if self._timer is None:
            self._timer = self._screen.set_timer(_SECONDS, self.save)

    def save(self) -> None:
        """Write the drafts to disk, beside whatever goes on; a disk that takes none is told once."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._screen.run_worker(self._save(), group="drafts")

    async def finish(self) -> None:
        """Put all that is written on disk before the program ends."""
        self._screen.desk.keep_draft()
        await self._save()

    async def _save(self) -> None:
        try:
            await self._screen.desk.drafts.save()
            self._refused = False
        except EngineError as error:
            if not self._refused:
                self._refused = True
                self._screen.app.say_error(error)
