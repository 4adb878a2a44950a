"""Renaming, deleting and bringing back conversations, as the user is asked and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtntui.terminal_text import one_line

if TYPE_CHECKING:
    from mtntui.screens.chat.screen import ChatScreen


class Filing:
    """Acts on whole conversations.

    Args:
        screen: whose list shows them.
    """

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen

    async def rename(self, identifier: str) -> None:
        """Ask for a title; leaving the dialog changes nothing."""
        from mtntui.screens.rename import RenameScreen

        # Read at once: keys that come in one burst with the command are the dialog's.
        title = self._screen.services.conversations.get(identifier).title
        new = await self._screen.app.push_screen_wait(RenameScreen(title))
        if new is not None:
            await self._screen.desk.rename(identifier, new)

    async def delete(self, identifier: str) -> None:
        """Hide a conversation, and say how to get it back."""
        gone = await self._screen.desk.delete(identifier)
        self._screen.app.say(f"Deleted “{one_line(gone.title, 40)}”. F4 brings it back.", timeout=5)

    async def undo_delete(self) -> None:
        """Bring the conversation that was deleted last back."""
        back = await self._screen.desk.undo_delete()
        if back is None:
            self._screen.app.say("Nothing was deleted in this session.", severity="warning", timeout=3)
        else:
            self._screen.app.say(f"Brought back “{one_line(back.title, 40)}”.", timeout=3)
