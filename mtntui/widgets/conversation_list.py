"""The list of conversations, with a search box over all that was ever said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.store.conversations import Conversation
from mtntui.keymap import command
from mtntui.terminal_text import one_line

PAGE = 100
"""Conversations fetched at a time."""

_BEFORE = 10
"""Characters of a snippet that may stand before what was found."""

_MARKS = re.compile(r"[*`#]+")

_SEARCH_SECONDS = 0.15
"""A search starts when nothing was typed for this long."""


class Titles(OptionList, inherit_bindings=False):
    """The titles themselves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        command("list.up", "up", "cursor_up", "Up", "Go up."),
        command("list.down", "down", "cursor_down", "Down", "Go down."),
        command("list.page_up", "pageup", "page_up", "Page up", "Go up by a screen."),
        command("list.page_down", "pagedown", "page_down", "Page down", "Go down by a screen."),
        command("list.first", "home", "first", "First", "Go to the newest."),
        command("list.last", "end", "last", "Last", "Go to the end of what is loaded."),
        command("list.open", "enter", "select", "Open", "Open the conversation.", show=True),
        command("list.rename", "r", "screen.rename(True)", "Rename", "Give the conversation another title.", show=True),
        command("list.delete", "d,delete", "screen.delete(True)", "Delete", "Delete it; this can be undone.", show=True),
    ]


class ConversationList(Vertical):
    """Shows conversations; says which one the user opens, and what they search for."""

    DEFAULT_CSS = """
    ConversationList {
        dock: left;
        width: 32;
        height: 1fr;
        background: $surface;
        padding: 1 0;
        & Input {
            background: $boost;
            border: none;
            height: 1;
            margin: 0 0 1 0;
            padding: 0 2;
            &:focus { border: none; background: $panel; }
        }
        & Titles {
            height: 1fr;
            border: none;
            padding: 0;
            text-wrap: nowrap;
            text-overflow: ellipsis;
            background: transparent;
            scrollbar-size-vertical: 1;
            &:focus { border: none; background-tint: transparent 0%; }
            & > .option-list--option { padding: 0 2; }
            & > .option-list--option-disabled { color: $text-muted; text-style: none; }
        }
        & #nothing { padding: 0 2; color: $text-muted; display: none; }
        &.-nothing #nothing { display: block; }
        &.-nothing Titles { display: none; }
    }
    """

    @dataclass
    class Opened(Message):
        """The user wants this conversation, at what the query found in it if there is one."""

        identifier: str
        query: str = ""

    @dataclass
    class Searched(Message):
        """The list should hold what this query finds, or all for an empty one."""

        query: str

    class MoreWanted(Message):
        """The end of what is loaded is near."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[tuple[str, str, str]] = []
        self._timer_query = ""
        self._full = False
        self._last_query = ""
        self.query_text = ""

    async def build(self) -> None:
        """Put in the search box and the titles. Not done when the list is composed: the first paint would wait for them."""
        search = Input(placeholder="Search", id="search")
        search.cursor_blink = False  # It would cost bytes at rest.
        await self.mount(search, Titles(markup=False), Static("", id="nothing", markup=False))

    @property
    def titles(self) -> Titles:
        """What takes the focus."""
        return self.query_one(Titles)

    @property
    def highlighted(self) -> str | None:
        """The conversation under the cursor."""
        option = self.query_one(Titles).highlighted_option
        return option.id if option is not None else None

    def show(self, conversations: list[Conversation], current: str | None, today: date) -> None:
        """Show these; nothing is redrawn when they are the ones already there."""
        wanted = [(c.id, c.title, c.snippet or c.updated_at[:10]) for c in conversations]
        titles = self.query_one(Titles)
        if wanted != self._shown or self._timer_query != self.query_text:
            self._timer_query = self.query_text
            self._shown = wanted
            self._full = bool(conversations) and len(conversations) % PAGE == 0
            marked = self.highlighted
            titles.set_options(_options(conversations, today, grouped=not self.query_text))
            self._highlight(marked or current)
            self._say_nothing(not conversations)
        elif current and not titles.has_focus:
            self._highlight(current)

    def _say_nothing(self, nothing: bool) -> None:
        self.set_class(nothing, "-nothing")
        if nothing:
            text = f"Nothing holds “{one_line(self.query_text, 40)}”." if self.query_text else "No conversations yet."
            self.query_one("#nothing", Static).update(Content(text))

    def _highlight(self, identifier: str | None) -> None:
        titles = self.query_one(Titles)
        ids = [option.id for option in titles.options]
        at = ids.index(identifier) if identifier in ids else None
        if titles.highlighted != at:
            titles.highlighted = at

    def follow(self, identifier: str | None) -> None:
        """Put the cursor on the conversation that is open."""
        self._highlight(identifier)

    def focus_search(self) -> None:
        """Let the user type a query; the last one is there to go on with, and the first key replaces it."""
        search = self.query_one(Input)
        if not search.value and self._last_query:
            search.value = self._last_query
            search.action_select_all()
        self.screen.set_focus(search)

    def leave_search(self) -> None:
        """Show all conversations again: the user has gone elsewhere."""
        for search in self.query(Input):  # None is there before the store is read.
            self._last_query = search.value or self._last_query
            search.value = ""

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_text = event.value
        self.set_timer(_SEARCH_SECONDS, lambda: self._search(event.value))

    def _search(self, query: str) -> None:
        if query == self.query_text:  # Nothing was typed since.
            self.post_message(self.Searched(query))

    @on(Input.Submitted, "#search")
    def _to_results(self, event: Input.Submitted) -> None:
        event.stop()
        titles = self.query_one(Titles)
        titles.focus()
        if titles.highlighted is None:
            titles.action_first()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Opened(event.option_id, self.query_text))

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if self._full and event.option_index >= event.option_list.option_count - 5:
            self._full = False
            self.post_message(self.MoreWanted())


def _options(conversations: Iterable[Conversation], today: date, *, grouped: bool) -> Iterator[Option]:
    last = ""
    for conversation in conversations:
        if grouped and (group := _group(conversation.updated_at, today)) != last:
            if last:
                yield Option("", disabled=True)
            last = group
            yield Option(Content.styled(group, "$foreground-muted"), disabled=True)
        yield Option(_prompt(conversation), conversation.id)


def _prompt(conversation: Conversation) -> Content:
    title = Content(one_line(conversation.title, 80) or "New conversation")
    if not conversation.snippet:
        return title
    return Content.assemble(title, "\n", _emphasised(conversation.snippet))


def _emphasised(snippet: str) -> Content:
    """A snippet with the words that were found in bold; the store marks them with \\x02 and \\x03. Markdown's marks go."""
    snippet = _MARKS.sub("", snippet)
    parts: list[Content] = []
    before, *rest_pieces = snippet.split("\x02")
    if len(before) > _BEFORE:  # The list is narrow: what was found must come first.
        before = "…" + before[-_BEFORE:]
    for piece in (before, *rest_pieces):
        found, closed, rest = piece.partition("\x03")
        if closed:
            parts.append(Content.styled(one_line(found), "bold $accent"))
            parts.append(Content.styled(_flat(rest), "$foreground-muted"))
        else:
            parts.append(Content.styled(_flat(piece), "$foreground-muted"))
    return Content("").join(parts)


def _flat(text: str) -> str:
    """`one_line` that keeps the blanks next to a found word."""
    lead, tail = " " * (text[:1].isspace()), " " * (text[-1:].isspace())
    return lead + one_line(text) + tail if text.strip() else lead


def _group(updated_at: str, today: date) -> str:
    day = datetime.fromisoformat(updated_at).astimezone().date()
    if day >= today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return "This week" if day > today - timedelta(days=7) else "Earlier"
