"""Which conversation lies open, and what else there is: opening, leaving, renaming, deleting, catching up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from engine.errors import EngineError, NotFoundError
from engine.store.conversations import Conversation, StoredMessage
from engine.store.finding import Place, find_place
from mtntui.screens.chat.drafts import Drafts
from mtntui.screens.chat.model_choice import choose_model
from mtntui.widgets.conversation_list import PAGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mtntui.screens.chat.screen import ChatScreen
    from mtntui.services import Services

Value = TypeVar("Value")


class Desk:
    """The open conversation of a chat screen, with a draft kept for each one that was left.

    Args:
        screen: whose widgets show it.
    """

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._services = screen.services
        self._conversations = screen.services.conversations
        self.drafts = Drafts(screen.services.drafts, screen.prompt.pastes)
        self._deleted: list[Conversation] = []
        self._list_length = PAGE
        self._showing = asyncio.Lock()
        self._shown = False
        self._wish = 0
        self._place: Place | None = None
        self.conversation: Conversation | None = None
        self.model = ""
        self.opened = False

    async def arrive(self, identifier: str | None, wants_new: Callable[[], bool]) -> None:
        """Open a conversation; what was typed meanwhile is added to its draft.

        Args:
            identifier: the conversation; None: the one that an earlier session left a draft for, else the one used last.
            wants_new: whether the user asked meanwhile for a new conversation instead.
        """
        first: Conversation | None = None
        try:
            first = await (self._last_used() if identifier is None else asyncio.to_thread(self._conversations.get, identifier))
        finally:  # Also when the store cannot be read: what is typed has a draft all the same.
            self.opened = True
            self._turn_to(None if wants_new() else first, self._screen.prompt.text)
        await self.show_open()
        await self.fill_list()
        if self._screen.replying.reply is None and await self._services.chat.settle():
            self.keep_draft()
            await self._show(self.conversation)

    async def _last_used(self) -> Conversation | None:
        recent = await asyncio.to_thread(self._conversations.browse, limit=PAGE)
        last = next((one for one in recent if one.source == "chat"), None)
        since = datetime.fromisoformat(last.updated_at).timestamp() if last is not None else 0
        for written in await asyncio.to_thread(self.drafts.last_written, since):
            if not written:
                return None
            with suppress(NotFoundError):  # Deleted, and its draft with it.
                return await asyncio.to_thread(self._conversations.get, written)
        return last

    async def open(self, identifier: str, query: str = "") -> None:
        """Open a conversation, at what a search found in it; a reply in progress goes on in the inference host.

        Args:
            identifier: the conversation.
            query: what was searched for; empty: at its end.
        """
        self._wish += 1
        if identifier == self.open_id and not query:
            await self.show_open()
            return
        wish = self._wish
        found = await asyncio.to_thread(self._conversations.get, identifier)
        place = await asyncio.to_thread(self._find, found.id, query)
        if wish != self._wish:  # The user went on to another one meanwhile.
            return
        self.keep_draft()
        self._turn_to(found)
        self._place = place
        await self.show_open()
        if place is not None and self._place is place:
            self._screen.transcript.reveal(query)

    def _find(self, conversation: str, query: str) -> Place | None:
        place = find_place(self._services.database, conversation, query)
        # A reply that is being written is followed, which can be done at the end alone.
        growing = place is not None and self._conversations.message(place.branch[-1]).status == "streaming"
        return None if growing else place

    def open_new(self) -> Awaitable[None]:
        """Begin with nothing; the conversation is stored with its first message.

        The prompt is the new conversation's when this returns, before anything is awaited: keys that come in one burst with
        the command belong to it.
        """
        self.keep_draft()
        self._turn_to(None)
        return self.show_open()

    async def store_new(self, model: str, claim: object) -> Conversation:
        """Store a new conversation; it is the open one if the claim on the transcript still holds."""
        system = self._services.settings.chat.system
        created = await asyncio.to_thread(self._conversations.create, model=model, system=system)
        if self._screen.replying.holds(claim):
            self.conversation = created
            await self._screen.transcript.clear()
        return created

    def moved_on(self, identifier: str, head: int) -> None:
        """We stored a message: what another program stores from now on differs from this."""
        if self.conversation is not None and self.conversation.id == identifier:
            self.conversation = replace(self.conversation, head=head)

    def give_back(self, identifier: str, text: str) -> None:
        """Return text that could not be sent to the prompt, or to the draft of the conversation it was written for."""
        if identifier == self.open_id:
            self._screen.prompt.put_back(text)
        else:
            self.drafts.keep(identifier, "\n".join(filter(None, (text, self.drafts.get(identifier)))))

    @property
    def open_id(self) -> str:
        """The open conversation's id; empty for a new one."""
        return self.conversation.id if self.conversation is not None else ""

    async def note_changes(self) -> None:
        """Something of ours was stored: keep up."""
        if self.conversation is not None:
            self.conversation = await asyncio.to_thread(self._conversations.get, self.conversation.id)
        await self.fill_list()

    async def _show(self, conversation: Conversation | None) -> None:
        self._turn_to(conversation)
        await self.show_open()

    async def show_open(self) -> None:
        """See to it that the transcript shows the open conversation, also when showing it was broken off before."""
        async with self._showing:
            while not self._shown:
                self._shown = True
                try:
                    await self._fill(self.conversation)
                except BaseException:
                    self._shown = False
                    raise

    def _turn_to(self, conversation: Conversation | None, typed: str = "") -> None:
        """What is written from now on belongs to this conversation, and `typed` too."""
        self._screen.replying.leave()
        self.conversation = conversation
        self._shown = False
        self._place = None
        self._wish += 1
        draft = self._or_say(lambda: self.drafts.get(self.open_id)) or ""
        self._or_say(self.use_model)  # Else the one there was stays.
        self._screen.prompt.put("\n".join(filter(None, (draft, typed))))

    def _or_say(self, read: Callable[[], Value]) -> Value | None:
        """What a read gives; None when it fails, which is said: the conversation is turned to all the same."""
        try:
            return read()
        except EngineError as error:
            self._screen.app.say_error(error)
            return None

    async def _fill(self, conversation: Conversation | None) -> None:
        screen = self._screen
        if conversation is None:
            messages: list[StoredMessage] = []
            await screen.transcript.clear(screen.first_model.welcome(self.model))
        else:
            messages = await self._show_messages(conversation)
        for message in messages:
            if message.role == "user":
                screen.prompt.earlier.add(message.content)
        self._show_numbers(messages)
        screen.list.follow(conversation.id if conversation else None)
        if messages and messages[-1].status == "streaming" and self._shown:
            screen.guard(screen.replying.resume(messages[-1], screen.replying.claim()), "reply")

    async def _show_messages(self, conversation: Conversation) -> list[StoredMessage]:
        """Show the conversation's end, or what a search found in it; returns its last messages."""
        load, place = partial(_load, self._services, conversation.id), self._place
        if place is None:
            return await self._screen.transcript.show(load)
        await self._screen.transcript.show_around(load, place.branch, place.message)
        return await load(None, PAGE)

    def keep_draft(self) -> None:
        """What stands in the prompt is the open conversation's draft."""
        if self.opened:
            self.drafts.keep(self.open_id, self._screen.prompt.text)

    def use_model(self, name: str = "") -> None:
        """Let a model answer from now on: the one named, or the one that suits the open conversation."""
        record = self._services.models.find(name) if name else choose_model(self._services, self.conversation)
        self.model = record.name if record is not None else ""
        self._screen.status.set(model=self.model, context_length=record.context_length if record is not None else None)

    async def choose(self, name: str) -> None:
        """The user chose a model."""
        self.use_model(name)
        if self.conversation is not None:
            await asyncio.to_thread(self._conversations.set_model, self.conversation.id, self.model)
            await self.show_open()
        else:
            await self._screen.transcript.clear(self._screen.first_model.welcome(self.model))

    def _show_numbers(self, messages: list[StoredMessage]) -> None:
        last = next((m for m in reversed(messages) if m.role == "assistant" and m.completion_tokens), None)
        self._screen.status.set(
            first_token_ms=last.first_token_ms if last else None,
            tokens_per_second=last.tokens_per_second if last else None,
            context_used=(last.prompt_tokens or 0) + (last.completion_tokens or 0) if last else None,
        )

    # The list

    async def fill_list(self) -> None:
        """Bring the list up to date with the store and the query."""
        shown = self._screen.list
        query = shown.query_text
        found = await asyncio.to_thread(self._conversations.browse, query, limit=self._list_length)
        if query == shown.query_text:
            current = self.conversation.id if self.conversation is not None else None
            shown.show(found, current, date.today())  # noqa: DTZ011 - the user's own day is meant

    async def extend_list(self) -> None:
        """Load more of the list."""
        self._list_length += PAGE
        await self.fill_list()

    async def catch_up(self) -> None:
        """Another program wrote to the store: show what is new."""
        await self.fill_list()
        if not self.model:
            self.use_model()
            self._screen.first_model.appeared(self.model)
        if self.conversation is None or self._screen.replying.busy:
            return
        identifier = self.open_id
        try:
            now = await asyncio.to_thread(self._conversations.get, identifier)
        except NotFoundError:  # Deleted elsewhere. Its text stays on the screen; writing goes on in a new one.
            if identifier == self.open_id:
                self.conversation = None
            return
        if identifier == self.open_id and now.head != self.conversation.head and not self._screen.replying.busy:
            self.keep_draft()
            await self._show(now)

    async def rename(self, identifier: str, title: str) -> None:
        """Give a conversation the user's own title."""
        await asyncio.to_thread(self._conversations.rename, identifier, title)
        await self.note_changes()

    async def delete(self, identifier: str) -> Conversation:
        """Hide a conversation; returns it for the undo."""
        gone = await asyncio.to_thread(self._conversations.get, identifier)
        await asyncio.to_thread(self._conversations.delete, identifier)
        self._deleted.append(gone)
        if self.conversation is not None and self.conversation.id == identifier:
            self.keep_draft()
            self._turn_to(None)
        await self.show_open()
        await self.fill_list()
        return gone

    async def undo_delete(self) -> Conversation | None:
        """Bring back the conversation that was deleted last; None when there is none."""
        if not self._deleted:
            return None
        back = self._deleted.pop()
        try:
            await asyncio.to_thread(self._conversations.restore, back.id)
        except BaseException:  # the next F4 tries again
            self._deleted.append(back)
            raise
        await self.open(back.id)
        await self.fill_list()
        return back


async def _load(services: Services, conversation: str, before: int | None, limit: int) -> list[StoredMessage]:
    return await asyncio.to_thread(services.conversations.messages, conversation, before=before, limit=limit)
