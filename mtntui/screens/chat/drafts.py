"""The drafts of one terminal: in memory as the prompt shows them, on disk as they were written."""

from __future__ import annotations

import asyncio

from mtntui.drafts import DraftFiles
from mtntui.widgets.prompt_text import Pastes


class Drafts:
    """What was written for each conversation and is not in the store.

    That is what stands in the prompt, and what was sent and is still on its way to the store.

    Args:
        files: keep them.
        pastes: the prompt's, whose placeholders stand in the drafts.
    """

    def __init__(self, files: DraftFiles, pastes: Pastes) -> None:
        self._files = files
        self._pastes = pastes
        self._shown: dict[str, str] = {}
        self._held: list[tuple[str, str]] = []
        self._saved: dict[str, str] = {}
        self._changed: dict[str, None] = {}  # A set in the order of the last changes: the last one's file shall be the newest.

    def get(self, conversation: str) -> str:
        """What the prompt shows for a conversation.

        Raises:
            StorageError: the one that an earlier session left cannot be read.
        """
        if conversation not in self._shown:
            self._shown[conversation] = ""
            text = self._saved[conversation] = self._files.read(conversation)
            self._shown[conversation] = self._pastes.add(text) if self._pastes.wants(text) else text
        return self._shown[conversation]

    def keep(self, conversation: str, shown: str) -> None:
        """The prompt shows this for a conversation."""
        self._shown[conversation] = shown
        self._note(conversation)

    def hold(self, conversation: str, text: str) -> None:
        """Count a message as unsent, though it stands in the prompt no more."""
        self._held.append((conversation, text))
        self._note(conversation)

    def release(self, conversation: str, text: str) -> None:
        """A held message is in the store, or back in the prompt."""
        self._held.remove((conversation, text))
        self._note(conversation)

    @property
    def holds_any(self) -> bool:
        """Whether a message is on its way to the store."""
        return bool(self._held)

    def last_written(self, since: float) -> list[str]:
        """The conversations that an earlier session left a draft for after a time, the last written first; empty: a new one."""
        return [conversation for conversation, at in self._files.recent() if at > since]

    async def save(self) -> None:
        """Write to disk what changed.

        Raises:
            StorageError: the disk would not take it; the next call tries again.
        """
        changed, self._changed = self._changed, {}
        texts = {conversation: self._unsent(conversation) for conversation in changed}
        # Only what this terminal changed: what it merely opened may have been sent from another one since.
        texts = {conversation: text for conversation, text in texts.items() if text != self._saved.get(conversation, "")}
        if not texts:
            return
        try:
            await asyncio.to_thread(self._files.write, texts)
        except BaseException:
            self._changed = changed | self._changed
            raise
        self._saved |= texts

    def _note(self, conversation: str) -> None:
        self._changed.pop(conversation, None)
        self._changed[conversation] = None

    def _unsent(self, conversation: str) -> str:
        held = [text for where, text in self._held if where == conversation]
        return "\n".join(filter(None, [*held, self._pastes.expand(self._shown.get(conversation, ""))]))
