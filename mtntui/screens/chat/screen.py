"""The chat room."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Static

from engine.errors import EngineError
from mtntui.keymap import command
from mtntui.screens.chat.desk import Desk
from mtntui.screens.chat.first_model import FirstModel
from mtntui.screens.chat.opinions import Opinions
from mtntui.screens.chat.replying import Replying
from mtntui.screens.chat.store_watch import StoreWatch
from mtntui.services import Services
from mtntui.terminal_text import one_line
from mtntui.widgets.conversation_list import ConversationList, Titles
from mtntui.widgets.key_hints import KeyHints
from mtntui.widgets.prompt import Prompt
from mtntui.widgets.status_line import StatusLine
from mtntui.widgets.too_small import SMALLEST, TooSmall
from mtntui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from mtntui.app import MtntuiApp

_WIDE = 100
"""Columns from which the list of conversations stands beside the transcript; below, it opens over it."""

_POLL_SECONDS = 1.0
_FIRST_PAINT_SECONDS = 0.01


class ChatScreen(Screen[None]):
    """Conversations, transcript, prompt, status, keys.

    Args:
        services: the engine's parts.
        first: the id of the conversation to open; None: the one used last.
    """

    app: MtntuiApp
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (SMALLEST[0], "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012 - Textual declares it as an instance variable
    VERTICAL_BREAKPOINTS = [(0, "-short"), (SMALLEST[1], "-tall")]  # noqa: RUF012
    DEFAULT_CSS = """
    ChatScreen {
        layers: base overlay cover;
        & #column { width: 1fr; height: 1fr; }
        & #foot { height: auto; align-horizontal: center; padding: 1 1 0 1; }
        & #prompt-row {
            height: auto;
            max-width: 100;
            padding: 0 1;
            background: $surface;
        }
        & #prompt-mark { width: 2; height: 1; color: $primary; }
        & StatusLine { max-width: 100; }
        & KeyHints { dock: bottom; }
        &.-wide.-list-hidden ConversationList { display: none; }
        &.-narrow ConversationList { display: none; layer: overlay; margin-bottom: 1; }
        &.-narrow.-list-open ConversationList { display: block; }
        &.-tiny ConversationList { display: none; }
        &.-tiny TooSmall, &.-short TooSmall { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("chat.stop", "escape", "stop", "Stop", "Stop the reply; what there is of it is kept.", show=True),
        command("chat.stop_fetch", "escape", "stop_fetch", "Stop fetching", "Stop fetching a first model.", show=True),
        command(
            "chat.back", "escape", "back", "Back", "Go back to the prompt, and close the list over the transcript.", show=True
        ),
        command("chat.new", "ctrl+n", "new", "New", "Begin a new conversation.", show=True, priority=True),
        command("chat.list", "ctrl+l", "toggle_list", "List", "Show or hide the conversations.", show=True, priority=True),
        command("chat.search", "ctrl+f", "search", "Search", "Search in everything that was said.", show=True, priority=True),
        command(
            "chat.model",
            "ctrl+o",
            "pick_model",
            "Model",
            "Choose the model that answers, or fetch one.",
            show=True,
            priority=True,
        ),
        command(
            "chat.previous",
            "ctrl+up",
            "select(-1)",
            "Message above",
            "Go to the message above, to rate or copy it.",
            priority=True,
        ),
        command("chat.next", "ctrl+down", "select(1)", "Message below", "Go to the message below.", priority=True),
        command("chat.rename", "f2", "rename", "Rename", "Give the conversation another title."),
        command("chat.delete", "f3", "delete", "Delete", "Delete the conversation; this can be undone."),
        command("chat.undo_delete", "f4", "undo_delete", "Undo delete", "Bring back the conversation deleted last."),
        command("chat.retry", "f5", "retry", "Ask again", "Ask for another reply to your last message."),
        command("chat.good", "f6", "rate('good')", "Good", "Mark the selected reply, or the last one, as good.", priority=True),
        command("chat.bad", "f7", "rate('bad')", "Bad", "Mark it as bad.", priority=True),
        command("chat.correct", "f8", "correct", "Correct", "Write what it should have been.", priority=True),
        command("chat.copy", "f9", "copy_reply", "Copy", "Copy the selected message, or the last reply.", priority=True),
    ]
    COMMAND_SOURCES: ClassVar[list[tuple[str, type[DOMNode]]]]

    def __init__(self, services: Services, first: str | None = None) -> None:
        super().__init__()
        self.services = services
        self._first = first
        self.transcript = Transcript()
        self.prompt = Prompt("Write a message", self._accept, id="prompt")
        self.status = StatusLine()
        self.list = ConversationList()
        self.replying = Replying(services, self.transcript, self.prompt, self.status, self.refresh_bindings)
        self.desk = Desk(self)
        self.opinions = Opinions(self)
        self.first_model = FirstModel(self)
        self._watch = StoreWatch(services.database)
        self.arrived = False
        self._new_early = False
        self._asked_early: Callable[[], object] | None = None
        self._sent_early: list[str] = []

    def compose(self) -> ComposeResult:
        """The list beside the column of transcript, prompt and status; the keys below."""
        self._take_size()
        yield self.list
        with Vertical(id="column"):
            yield self.transcript
            with Vertical(id="foot"):
                with Horizontal(id="prompt-row"):
                    yield Static("›", id="prompt-mark", markup=False)
                    yield self.prompt
                yield self.status
        yield KeyHints()
        yield TooSmall()

    def _take_size(self) -> None:
        """Set the classes of the breakpoints now: set by the first resize event, they would style everything a second time."""
        size = self.app.size
        for length, breakpoints in ((size.width, self.HORIZONTAL_BREAKPOINTS), (size.height, self.VERTICAL_BREAKPOINTS)):
            self.add_class(next(name for least, name in reversed(breakpoints) if length >= least))

    def on_mount(self) -> None:
        """Paint first, then read the store."""
        self.prompt.focus()
        self.app.call_later(self._paint)

    def _paint(self) -> None:
        """Draw everything: Textual drops what is drawn while the app mounts, and would then wait for a change.

        The pause lets the thread that writes to the terminal have its turn before the store is read.
        """
        self.refresh()
        self.call_after_refresh(self.set_timer, _FIRST_PAINT_SECONDS, self._arrive)

    def _arrive(self) -> None:
        self.guard(self._fill(), "arrive")
        self.set_interval(_POLL_SECONDS, self._poll)

    async def _fill(self) -> None:
        try:
            await self.list.build()
            await self.desk.arrive(self._first)
        finally:
            self.arrived = True
            await self._catch_up_with_hands()
            gc.freeze()  # What start-up made stays; it need not be looked at again.
            gc.enable()

    async def _catch_up_with_hands(self) -> None:
        """Do what was asked for while the store was still being read."""
        text = self.prompt.text
        if self._new_early:
            opening = self.desk.open_new()
            self.prompt.put(text)
            await opening
        for early in self._sent_early:
            if self.desk.model and not self.replying.busy:
                self._begin_to_send(early)
            else:
                self.prompt.put_back(early)
        if self._asked_early is not None:
            self._asked_early()

    def _poll(self) -> None:
        try:
            if self._watch.changed():
                self.guard(self.desk.catch_up(), "catch up", exclusive=False)
        except EngineError as error:
            self.app.say_error(error)

    def guard(self, awaitable: Awaitable[Any], group: str, *, exclusive: bool = True) -> None:
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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to stop while there is something to stop, and to go back while the focus is elsewhere."""
        replying, fetching = self.replying.reply is not None, self.first_model.pulling
        if action in {"stop", "stop_fetch"}:
            return replying if action == "stop" else fetching
        return not (replying or fetching or self.prompt.has_focus) if action == "back" else True

    # The prompt

    def _accept(self, text: str) -> bool:
        """Send what the user wrote; False when it cannot be sent now."""
        if self.arrived and not self.desk.model:
            self.first_model.start()
        elif self.replying.busy:
            self._say_busy()
        elif text.strip():
            if self.arrived:
                self._begin_to_send(text)
            else:
                self._sent_early.append(text)
            return True
        return False

    def _say_busy(self) -> None:
        self.app.say("A reply is being written. Esc stops it; your message stays in the prompt.", timeout=3)

    def _begin_to_send(self, text: str) -> None:
        sending = self._send(text, self.desk.open_id, self.desk.model, self.replying.claim())
        self.guard(sending, "reply", exclusive=False)

    async def _send(self, text: str, identifier: str, model: str, claim: object) -> None:
        """Send a message within the conversation it was written for, though another may be opened meanwhile.

        Args:
            text: the message.
            identifier: the conversation; empty for a new one.
            model: answers.
            claim: on the transcript.
        """
        try:
            await self.desk.show_open()
            if self.desk.open_id == identifier and not self.replying.holds(claim):  # Its last reply is still being written.
                self._say_busy()
                self.desk.give_back(identifier, text)
                return
            identifier = identifier or (await self.desk.store_new(model, claim)).id
            exchange = await self.replying.store(identifier, text, model)
        except BaseException:
            self.desk.give_back(identifier, text)
            self.replying.release(claim)
            raise
        self.desk.moved_on(identifier, exchange.reply.id)
        try:
            await self.replying.ask(exchange, claim)
        finally:
            self.replying.release(claim)
        await self.desk.note_changes()

    def stop_reply(self) -> bool:
        """Begin to stop the reply in progress; False when there is none. A host that does not answer keeps no key waiting."""
        if self.replying.reply is None:
            return False
        self.guard(self.replying.stop(), "stop")
        return True

    def action_stop(self) -> None:
        """Stop the reply."""
        self.stop_reply()

    def action_stop_fetch(self) -> None:
        """Stop the fetch of a first model."""
        self.first_model.stop()

    def action_back(self) -> None:
        """Go back to the prompt."""
        self.remove_class("-list-open")
        self.transcript.select(None)
        self.prompt.focus()

    def action_retry(self) -> None:
        """Ask for another reply to the last message of the user."""
        reply = next((turn.stored for turn in reversed(self.transcript.turns) if turn.is_reply), None)
        if reply is None or not self.desk.model:
            self.app.say("There is nothing to ask again.", severity="warning")
        elif self.replying.busy:
            self.app.say("A reply is being written. Esc stops it.", severity="warning")
        else:
            self.guard(self._again(reply.id, self.replying.claim()), "reply", exclusive=False)

    async def _again(self, reply: int, claim: object) -> None:
        try:
            await self.replying.again(reply, self.desk.model, claim)
        finally:
            self.replying.release(claim)
        await self.desk.note_changes()

    # The transcript

    @on(Transcript.Failed)
    def _failed(self, event: Transcript.Failed) -> None:
        self.app.say_error(event.error)

    async def action_select(self, step: int) -> None:
        """Go to a message."""
        self.transcript.focus()
        await self.transcript.move(step)

    async def action_rate(self, rating: Literal["good", "bad", ""]) -> None:
        """Record a rating."""
        self.guard(self.opinions.rate(rating), "opinion", exclusive=False)

    def action_correct(self) -> None:
        """Open the editor for a correction."""
        self.guard(self.opinions.correct(), "opinion", exclusive=False)

    def action_copy_reply(self) -> None:
        """Copy a message."""
        self.opinions.copy()

    # Conversations

    def action_new(self) -> None:
        """Begin a new conversation."""
        if self.arrived:
            self.guard(self.desk.open_new(), "open", exclusive=False)
        else:
            self._new_early = True
        self.prompt.focus()

    def action_toggle_list(self) -> None:
        """Show or hide the list, and go where the user now looks."""
        if not self.arrived:
            self._asked_early = self.action_toggle_list
            return
        if self.has_class("-wide"):
            self.toggle_class("-list-hidden")
            visible = not self.has_class("-list-hidden")
        else:
            self.toggle_class("-list-open")
            visible = self.has_class("-list-open")
        (self.list.titles if visible else self.prompt).focus()

    def action_search(self) -> None:
        """Show the list and let the user type a query."""
        if not self.arrived:
            self._asked_early = self.action_search
            return
        self.remove_class("-list-hidden")
        self.add_class("-list-open")
        self.list.focus_search()

    @on(ConversationList.Opened)
    def _opened(self, event: ConversationList.Opened) -> None:
        self.remove_class("-list-open")
        self.guard(self.desk.open(event.identifier), "open", exclusive=False)
        self.prompt.focus()

    @on(ConversationList.Searched)
    def _searched(self) -> None:
        self.guard(self.desk.fill_list(), "list")

    @on(ConversationList.MoreWanted)
    def _more_wanted(self) -> None:
        self.guard(self.desk.extend_list(), "list")

    def _chosen(self, from_list: bool) -> str | None:
        """The conversation an action is about."""
        if from_list:
            return self.list.highlighted
        return self.desk.conversation.id if self.desk.conversation is not None else None

    def action_rename(self, from_list: bool = False) -> None:
        """Ask for a title."""
        if (identifier := self._chosen(from_list)) is not None:
            self.guard(self._rename(identifier), "dialog")

    async def _rename(self, identifier: str) -> None:
        from mtntui.screens.rename import RenameScreen

        title = self.services.conversations.get(identifier).title
        new = await self.app.push_screen_wait(RenameScreen(title))
        if new is not None:
            await self.desk.rename(identifier, new)

    def action_delete(self, from_list: bool = False) -> None:
        """Hide a conversation, and say how to get it back."""
        if (identifier := self._chosen(from_list)) is not None:
            self.guard(self._delete(identifier), "open", exclusive=False)

    async def _delete(self, identifier: str) -> None:
        gone = await self.desk.delete(identifier)
        self.app.say(f"Deleted “{one_line(gone.title, 40)}”. F4 brings it back.", timeout=8)

    def action_undo_delete(self) -> None:
        """Bring the last deleted conversation back."""
        self.guard(self._undo_delete(), "open", exclusive=False)

    async def _undo_delete(self) -> None:
        if await self.desk.undo_delete() is None:
            self.app.say("Nothing was deleted in this session.", severity="warning")

    # Models

    @work(exclusive=True, group="dialog")
    async def action_pick_model(self) -> None:
        """Choose the model that answers from now on."""
        from mtntui.screens.model_picker import ModelPicker

        self.first_model.listen()  # A fetch that is begun there goes on when it is left: somebody must tell how it ends.
        chosen = await self.app.push_screen_wait(ModelPicker(self.services, self.desk.model))
        if chosen is not None:
            self.guard(self.desk.choose(chosen), "open", exclusive=False)


ChatScreen.COMMAND_SOURCES = [
    ("Writing", Prompt),
    ("Conversation", ChatScreen),
    ("Selected message", Transcript),
    ("List of conversations", Titles),
]
