"""The terminal program: its rooms, its keys, its last line of defence."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.screen import ModalScreen, Screen

from engine.errors import EngineError
from engine.settings import source_of
from engine.store.database import Database
from mtntui.keymap import Command, command, commands, complaints, key_name
from mtntui.services import Services
from mtntui.store_watch import StoreWatch
from mtntui.terminal_text import one_line, visible
from mtntui.widgets.control_filter import ControlFilter

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from engine.settings import Settings

QUIT_SECONDS = 2.0
"""A second Ctrl+C within this time quits."""

WATCH_SECONDS = 1.0
"""How often it is looked whether jobs ended."""

SETTLE_SECONDS = 2.0
"""A quit waits at most so long for the store, and once more for the drafts."""


def _chat_room(app: MtntuiApp) -> Screen[Any]:
    from mtntui.screens.chat.screen import ChatScreen

    return ChatScreen(app.services, app.conversation)


def _jobs_room(app: MtntuiApp) -> Screen[Any]:
    from mtntui.screens.jobs.screen import JobsScreen

    return JobsScreen(app.services)


ROOMS: dict[str, Callable[[MtntuiApp], Screen[Any]]] = {"chat": _chat_room, "jobs": _jobs_room}
"""The rooms by the name of their mode. A room's module is imported when it is first entered."""


class MtntuiApp(App[int], inherit_bindings=False):
    """The program on the screen. Each room is a mode; a new one is a line in `ROOMS`.

    Args:
        services: the engine's parts.
        conversation: the id of the one to open first; None: the one used last.
    """

    TITLE = "mtntui"
    DEFAULT_MODE = "chat"
    ENABLE_COMMAND_PALETTE = True
    CSS = """
    /* At the top: the prompt, the last lines and the keys are at the bottom. */
    ToastRack { dock: top; align: right top; margin: 0 2; }
    Toast { width: auto; max-width: 60; padding: 0 1; }
    .-tiny Toast { max-width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command(
            "app.interrupt",
            "ctrl+c",
            "interrupt",
            "Copy, stop, quit",
            "Copy what is selected; else stop the reply; else, pressed twice, leave.",
            priority=True,
        ),
        command("app.quit", "ctrl+q", "quit", "Quit", "Leave. A reply in progress goes on.", priority=True),
        command(
            "app.palette", "ctrl+p", "command_palette", "Commands", "Find any command by its name.", show=True, priority=True
        ),
        command("app.jobs", "ctrl+t", "room('jobs')", "Jobs", "Go to the jobs, and from there back to the chat.", priority=True),
        command("app.help", "f1", "help", "Help", "Show all keys.", show=True, priority=True),
    ]

    def __init__(self, services: Services, conversation: str | None = None) -> None:
        super().__init__()
        self.services = services
        self.conversation = conversation
        self.animation_level = "none"  # A scroll that glides costs a redraw per step.
        self._last_interrupt = 0.0
        self._where = ""
        self._filter = ControlFilter()
        for mode, room in ROOMS.items():
            self.add_mode(mode, partial(room, self))

    def on_mount(self) -> None:
        """Take over the user's looks and keys, and say what of them cannot be."""
        if found := [*self._apply_theme(), *self._apply_keys()]:
            self.say("\n".join(found), severity="warning", timeout=10)
        self.set_timer(WATCH_SECONDS, self._watch_jobs)

    def _apply_theme(self) -> Iterator[str]:
        theme = self.services.settings.screen.theme
        if theme in self.available_themes:
            if theme != self.theme:
                self.theme = theme
        else:
            names = ", ".join(sorted(self.available_themes))
            yield f"There is no theme named {theme} ({source_of('screen.theme')}). There are: {names}."

    def _apply_keys(self) -> Iterator[str]:
        keys = self.services.settings.keys
        if keys:
            self.set_keymap(keys)
            yield from complaints(keys, self.all_commands(), source_of("keys"))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, then ours: no control character leaves in a line."""
        return [*super().get_line_filters(), self._filter]

    # Telling

    def say(self, message: str, *, severity: SeverityLevel = "information", timeout: float | None = None) -> None:
        """Show a sentence for a while, in the place of the last one. It may hold text that others wrote."""
        for screen in self.screen_stack:
            screen.query("ToastHolder").remove()  # Clearing alone would leave the room they took.
        self.clear_notifications()
        self.notify(visible(message), severity=severity, timeout=timeout, markup=False)

    def say_error(self, error: BaseException) -> None:
        """Show what went wrong; anything but an `EngineError` is logged with its traceback."""
        if isinstance(error, EngineError):
            self.say(str(error), severity="error", timeout=10)
        else:
            what = f"Something unexpected happened ({type(error).__name__}: {one_line(str(error), 200)})."
            self.say(f"{what} {self._keep_traceback(error)}", severity="error", timeout=10)

    def _keep_traceback(self, error: BaseException) -> str:
        """Write the traceback to the log file; returns a sentence that says where it is."""
        import traceback

        from mtntui.cli.crash import append_to_log

        try:
            path = append_to_log(self.services.settings.workspace.log_file, "".join(traceback.format_exception(error)))
        except OSError as log_error:
            return f"The log file could not be written ({one_line(str(log_error), 200)})."
        return f"The details are in {path}."

    def _handle_exception(self, error: Exception) -> None:
        self._where = self._keep_traceback(error)
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # Textual would print a traceback with the values of local variables, a conversation among them.
        self.panic(Text(f"mtntui ended because of an error of its own; nothing that was sent is lost. {self._where}"))

    def copy_to_clipboard(self, text: str) -> None:
        """Copy through tmux where there is one, else by OSC 52, and say which."""
        self._clipboard = text  # What Ctrl+V puts in, also when the copy itself goes through tmux.
        self.run_worker(self._copy(visible(text)), group="copy")

    async def _copy(self, text: str) -> None:
        from mtntui.clipboard import copy_through_tmux

        amount = f"{len(text):,} characters"
        outcome = await copy_through_tmux(text)
        if outcome == "copied":
            self.say(f"Copied {amount} through tmux.", timeout=2)
            return
        super().copy_to_clipboard(text)
        sent = f"Sent {amount} to the terminal's clipboard."
        if outcome == "no tmux":
            self.say(sent, timeout=2)
        else:
            why = "did not answer" if outcome == "no answer" else "did not take the text"
            self.say(f"tmux {why}. {sent}", severity="warning", timeout=4)

    @work(group="jobs")
    async def _watch_jobs(self) -> None:
        """Say when jobs end, in any room."""
        from mtntui.job_watch import JobWatch, sentence

        watch: JobWatch | None = None
        trouble = ""
        while True:
            try:
                if watch is None:
                    changes, watch = StoreWatch(self.services.database), await asyncio.to_thread(JobWatch, self.services.jobs)
                elif changes.changed():
                    ended = await asyncio.to_thread(watch.ended)
                    if told := sentence(ended):
                        failed = any(job.state in ("failed", "interrupted") for job in ended)
                        self.say(told, severity="warning" if failed else "information", timeout=8)
                trouble = ""
            except EngineError as error:
                if str(error) != trouble:  # Once, and not every second.
                    trouble = str(error)
                    self.say_error(error)
            await asyncio.sleep(WATCH_SECONDS)

    # Commands

    @staticmethod
    def command_sources() -> Iterator[tuple[str, type[DOMNode]]]:
        """The classes that have keys, with their headings."""
        from mtntui.screens.chat.screen import ChatScreen
        from mtntui.screens.confirm import Confirm
        from mtntui.screens.correction import CorrectionScreen
        from mtntui.screens.dialog import Dialog
        from mtntui.screens.help import HelpScreen
        from mtntui.screens.jobs.form import JobForm
        from mtntui.screens.jobs.screen import JobsScreen
        from mtntui.screens.model_picker import ModelPicker
        from mtntui.widgets.choice import Choice

        yield from ChatScreen.COMMAND_SOURCES
        yield from JobsScreen.COMMAND_SOURCES
        yield ("Everywhere", MtntuiApp)
        dialogs = (Dialog, ModelPicker, CorrectionScreen, JobForm, Choice, Confirm, HelpScreen)
        yield from (("Dialogs", dialog) for dialog in dialogs)

    def all_commands(self) -> list[Command]:
        """Everything a key can do, with the user's keys."""
        return list(commands(self.command_sources(), self.services.settings.keys))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers: every command that makes sense on the screen in front."""
        seen: set[str] = set()
        for known in self.all_commands():
            if known.title not in seen and (node := self._node_for(known, screen)) is not None:
                seen.add(known.title)
                keys = " or ".join(map(key_name, known.keys))
                yield SystemCommand(known.title, f"{known.help} ({keys})", self._runner(known.action, node))
        yield SystemCommand("Theme", "Choose the colours for this session.", self.action_change_theme)
        yield SystemCommand("Save a picture of the screen", "As an SVG file.", lambda: self.set_timer(0.1, self._save_picture))

    def _save_picture(self) -> None:
        """Save the screen where the user started the program, and say where."""
        from datetime import datetime

        picture = Path.cwd() / f"mtntui-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.svg"
        try:
            picture.write_text(self.export_screenshot(), encoding="utf-8")
        except OSError as error:
            self.say(f"The picture could not be saved as {picture}: {error.strerror or error}.", severity="error")
        else:
            self.say(f"Saved as {picture}.")

    def _node_for(self, command: Command, screen: Screen[Any]) -> DOMNode | None:
        if command.action == "command_palette":
            return None
        if command.namespace is MtntuiApp:
            return self
        if isinstance(screen, command.namespace):
            return screen
        return screen.focused if type(screen.focused) is command.namespace else None

    def _runner(self, action: str, node: DOMNode) -> Callable[[], Any]:
        async def run() -> None:
            await self.run_action(action, node)

        return run

    def get_key_display(self, binding: Binding) -> str:
        """Keys as people write them."""
        return key_name(binding.key)

    def action_interrupt(self) -> None:
        """Ctrl+C: copy a selection, else stop a reply, else quit at the second press."""
        if (selection := self._selection()) is not None:
            self.copy_to_clipboard(selection)
            self.screen.clear_selection()
            return
        stop = getattr(self.screen, "stop_reply", None)
        if stop is not None and stop():
            return
        now = time.monotonic()
        if now - self._last_interrupt < QUIT_SECONDS:
            self._leave()
            return
        self._last_interrupt = now
        self.say("Press Ctrl+C again to quit.", timeout=QUIT_SECONDS)

    def _selection(self) -> str | None:
        chosen = getattr(self.focused, "selected_text", "")
        return chosen or self.screen.get_selected_text() or None

    async def action_room(self, room: str) -> None:
        """Go to a room; from that room, back to the chat. A dialog is answered first."""
        if not isinstance(self.screen, ModalScreen):
            await self.switch_mode(self.DEFAULT_MODE if self.current_mode == room else room)

    async def chat_with(self, model: str) -> None:
        """Go to the chat, where this model answers from now on."""
        from mtntui.screens.chat.screen import ChatScreen

        await self.switch_mode("chat")
        for room in self.screen_stack:
            if isinstance(room, ChatScreen):
                await room.desk.choose(model)

    def action_help(self) -> None:
        """Show all keys."""
        from mtntui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.all_commands()))

    async def action_quit(self) -> None:
        """Leave; a reply in progress goes on in the inference host."""
        self._leave()

    @work(exclusive=True, group="leave")
    async def _leave(self) -> None:
        """End the program when what was sent is stored and what was not is kept; a room that takes too long is not waited for."""
        for wait in ("settle", "keep_unsent"):
            for room in [screen for stack in self._screen_stacks.values() for screen in stack]:
                if (ready := getattr(room, wait, None)) is not None:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(ready(), SETTLE_SECONDS)
        self.exit(0)


def run(settings: Settings, conversation: str | None = None) -> int:
    """Show the program on this terminal until the user leaves; returns the exit status.

    Args:
        settings: what the user set.
        conversation: the id of the one to open; None: the one used last.

    Raises:
        EngineError: the workspace cannot be used; nothing was drawn yet.
    """
    database = Database(settings.workspace.prepare().database)
    try:
        app = MtntuiApp(Services(settings, database), conversation)
        status = app.run()
        return app.return_code or 0 if status is None else status
    finally:
        gc.enable()
        database.close()
