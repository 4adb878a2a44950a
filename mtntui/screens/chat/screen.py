"""The chat room."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.dom import DOMNode
from textual.widgets import Static

from engine.errors import EngineError
from mtntui.screens.chat.desk import Desk
from mtntui.screens.chat.draft_saving import DraftSaving
from mtntui.screens.chat.filing import Filing
from mtntui.screens.chat.first_model import FirstModel
from mtntui.screens.chat.keys import KEYS
from mtntui.screens.chat.opinions import Opinions
from mtntui.screens.chat.replying import Replying
from mtntui.screens.chat.sending import Sending
from mtntui.screens.room import Room
from mtntui.services import Services
from mtntui.store_watch import StoreWatch
from mtntui.widgets.conversation_list import ConversationList, Titles
from mtntui.widgets.key_hints import KeyHints
from mtntui.widgets.prompt import Prompt
from mtntui.widgets.status_line import StatusLine
from mtntui.widgets.too_small import SMALLEST, TooSmall
from mtntui.widgets.transcript import Transcript

if TYPE_CHECKING:
    pass

_WIDE = 100
"""Columns from which the list of conversations stands beside the transcript; below, it opens over it."""

_POLL_SECONDS = 1.0
_FIRST_PAINT_SECONDS = 0.01


class ChatScreen(Room):
    """Conversations, transcript, prompt, status, keys.

    Args:
        services: the engine's parts.
        first: the id of the conversation to open; None: the one used last.
    """

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
    BINDINGS: ClassVar[list[BindingType]] = KEYS
    COMMAND_SOURCES: ClassVar[list[tuple[str, type[DOMNode]]]]

    def __init__(self, services: Services, first: str | None = None) -> None:
        super().__init__()
        self.services = services
        self._first = first
        self.sending = Sending(self)
        self.transcript = Transcript()
        self.prompt = Prompt("Write a message", self.sending.accept, id="prompt")
        self.status = StatusLine()
        self.list = ConversationList()
        self.replying = Replying(services, self.transcript, self.prompt, self.status, self.refresh_bindings)
        self.desk = Desk(self)
        self.draft_saving = DraftSaving(self)
        self.filing = Filing(self)
        self.opinions = Opinions(self)
        self.first_model = FirstModel(self)
        self._watch = StoreWatch(services.database)
        self.arrived = False
        self._new_early = False
        self._asked_early: Callable[[], object] | None = None

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
        self.watch(self.status, "status", lambda status: self.query_one(TooSmall).tell(status.sentence), init=False)
        self.set_focus(self.prompt)
        self.app.call_later(self._paint)

    def _paint(self) -> None:
        """Draw everything: Textual drops what is drawn while the app mounts, and would then wait for a change.

        The pause lets the thread that writes to the terminal have its turn before the store is read.
        """
        self.refresh()
        self.call_after_refresh(self.set_timer, _FIRST_PAINT_SECONDS, self._arrive)

    def _arrive(self) -> None:
        self.guard(self._fill(), "arrive", exclusive=True)
        self.set_interval(_POLL_SECONDS, self._poll)

    async def _fill(self) -> None:
        try:
            await self.list.build()
            await self.desk.arrive(self._first, lambda: self._new_early)
        finally:
            self.arrived = True
            self.sending.send_early()
            if self._asked_early is not None:
                self._asked_early()
            gc.freeze()  # What start-up made stays; it need not be looked at again.
            gc.enable()

    def _poll(self) -> None:
        try:
            if self._watch.changed():
                self.guard(self.desk.catch_up(), "catch up")
        except EngineError as error:
            self.app.say_error(error)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to stop while there is something to stop, and to go back while the focus is elsewhere."""
        replying, fetching = self.replying.reply is not None, self.first_model.pulling
        if action in {"stop", "stop_fetch"}:
            return replying if action == "stop" else fetching
        return not (replying or fetching or self.prompt.has_focus) if action == "back" else True

    # The prompt

    @on(Prompt.Changed, "#prompt")
    def _written(self) -> None:
        self.draft_saving.written()

    async def settle(self) -> None:
        """Before the program ends: wait until all that was sent is stored. The app waits for this only so long."""
        await self.sending.settle()

    async def keep_unsent(self) -> None:
        """Before the program ends: put what was not sent on disk."""
        await self.draft_saving.finish()

    def stop_reply(self) -> bool:
        """Begin to stop the reply in progress; False when there is none. A host that does not answer keeps no key waiting."""
        if self.replying.reply is None:
            return False
        self.guard(self.replying.stop(), "stop", exclusive=True)
        return True

    def action_stop(self) -> None:
        """Stop the reply."""
        self.stop_reply()

    def action_stop_fetch(self) -> None:
        """Stop the fetch of a first model."""
        self.first_model.stop()

    def action_back(self) -> None:
        """Go back to the prompt."""
        self.list.leave_search()
        self.remove_class("-list-open")
        self.transcript.select(None)
        self.set_focus(self.prompt)

    def action_retry(self) -> None:
        """Ask for another reply to the last message of the user."""
        if self.replying.busy:
            self.app.say("A reply is being written. Esc stops it.", severity="warning")
        else:
            self.guard(self._again(self.replying.claim()), "reply")

    async def _again(self, claim: object) -> None:
        try:
            reply = await self.opinions.last_reply()
            if reply is None or not self.desk.model:
                self.app.say("There is nothing to ask again.", severity="warning")
                return
            await self.replying.again(reply.stored.id, self.desk.model, claim)
        finally:
            self.replying.release(claim)
        await self.desk.note_changes()

    # The transcript

    @on(Transcript.Failed)
    def _failed(self, event: Transcript.Failed) -> None:
        self.app.say_error(event.error)

    async def action_select(self, step: int) -> None:
        """Go to a message."""
        self.set_focus(self.transcript)
        await self.transcript.move(step)

    async def action_rate(self, rating: Literal["good", "bad", ""]) -> None:
        """Record a rating."""
        self.guard(self.opinions.rate(rating), "opinion")

    def action_correct(self) -> None:
        """Open the editor for a correction."""
        self.ask(self.opinions.correct)

    def action_copy_reply(self) -> None:
        """Copy a message."""
        self.guard(self.opinions.copy(), "opinion")

    # Conversations

    def action_new(self) -> None:
        """Begin a new conversation."""
        if self.desk.opened:
            self.guard(self.desk.open_new(), "open")
        else:
            self._new_early = True
        self.set_focus(self.prompt)

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
        if not visible:
            self.list.leave_search()
        self.set_focus(self.list.titles if visible else self.prompt)

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
        self.list.leave_search()
        self.guard(self.desk.open(event.identifier, event.query), "open")
        self.set_focus(self.prompt)

    @on(ConversationList.Searched)
    def _searched(self) -> None:
        self.guard(self.desk.fill_list(), "list", exclusive=True)

    @on(ConversationList.MoreWanted)
    def _more_wanted(self) -> None:
        self.guard(self.desk.extend_list(), "list", exclusive=True)

    def _chosen(self, from_list: bool) -> str | None:
        """The conversation an action is about."""
        if from_list:
            return self.list.highlighted
        return self.desk.conversation.id if self.desk.conversation is not None else None

    def action_rename(self, from_list: bool = False) -> None:
        """Ask for a title."""
        if (identifier := self._chosen(from_list)) is not None:
            self.ask(partial(self.filing.rename, identifier))

    def action_delete(self, from_list: bool = False) -> None:
        """Hide a conversation, and say how to get it back."""
        if (identifier := self._chosen(from_list)) is not None:
            self.guard(self.filing.delete(identifier), "open")

    def action_undo_delete(self) -> None:
        """Bring the last deleted conversation back."""
        self.guard(self.filing.undo_delete(), "open")

    # Models

    def action_pick_model(self) -> None:
        """Choose the model that answers from now on."""
        self.ask(self._pick_model)

    async def _pick_model(self) -> None:
        from mtntui.screens.model_picker import ModelPicker

        self.first_model.listen()  # A fetch that is begun there goes on when it is left: somebody must tell how it ends.
        chosen = await self.app.push_screen_wait(ModelPicker(self.services, self.desk.model))
        if chosen is not None:
            await self.desk.choose(chosen)


ChatScreen.COMMAND_SOURCES = [
    ("Writing", Prompt),
    ("Conversation", ChatScreen),
    ("Selected message", Transcript),
    ("List of conversations", Titles),
]
