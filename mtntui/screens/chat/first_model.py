"""The first start: no model is there, and one is fetched in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.css.query import NoMatches

if TYPE_CHECKING:
    from textual.timer import Timer

    from mtntui.model_pull import PullState
    from mtntui.screens.chat.screen import ChatScreen
    from mtntui.widgets.welcome import Welcome

_LOOK_SECONDS = 1.0
_FREE_LOOKS = 2
"""So many looks in a row find nobody at work before we say so: between the weights and the graph nobody is, for a moment."""


class FirstModel:
    """Offers the small model while there is none, and takes it into use when it has come, whoever fetched it.

    Args:
        screen: where this happens.
    """

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._listening = False
        self._phase = ""
        self._looking: Timer | None = None
        self._free = 0

    def welcome(self, model: str) -> Welcome:
        """What an empty transcript shows."""
        from mtntui.widgets.welcome import Welcome

        if model:
            return Welcome("ready", model)
        from engine.models.catalogue import DEFAULT_MODEL, KNOWN
        from mtntui.model_pull import unfinished

        self.listen()
        begun = DEFAULT_MODEL in unfinished(self._screen.services.models.all())
        download = "" if begun else KNOWN[DEFAULT_MODEL].download
        welcome = Welcome("no_model", DEFAULT_MODEL, download, elsewhere=self._fetched_elsewhere())
        self._screen.call_after_refresh(self._show, self._screen.services.pull.state)
        if self._looking is None:
            self._looking = self._screen.set_interval(_LOOK_SECONDS, self._look)
        return welcome

    @property
    def pulling(self) -> bool:
        """Whether a first model is on its way."""
        return self._listening and not self._screen.desk.model and self._screen.services.pull.running

    def start(self) -> None:
        """Fetch the small model, or whatever did not come to its end before."""
        from engine.models.catalogue import DEFAULT_MODEL
        from mtntui.model_pull import unfinished

        self.listen()
        pull = self._screen.services.pull
        if pull.state.phase in {"failed", "cancelled"}:
            pull.start(pull.state.name, pull.state.task)
        else:
            pull.start(DEFAULT_MODEL, unfinished(self._screen.services.models.all()).get(DEFAULT_MODEL, "fetch"))

    def stop(self) -> bool:
        """Stop the fetch if it is what the transcript shows; False otherwise."""
        pull = self._screen.services.pull
        if self._screen.desk.model or not pull.running:
            return False
        pull.cancel()
        return True

    def listen(self) -> None:
        """Follow whatever fetch there is."""
        if not self._listening:
            self._listening = True
            self._screen.services.pull.listen(self._show)

    def appeared(self, model: str) -> None:
        """Another program put a model on record that answers from now on."""
        if model and (welcome := self._welcome_shown()) is not None:
            welcome.greet(model)
            self._screen.refresh_bindings()

    def _welcome_shown(self) -> Welcome | None:
        from mtntui.widgets.welcome import Welcome

        try:
            return self._screen.transcript.query_one(Welcome)
        except NoMatches:  # A conversation is open.
            return None

    def _fetched_elsewhere(self) -> bool:
        """Whether another program is fetching the small model; our own fetch is no other program."""
        from engine.models.catalogue import DEFAULT_MODEL
        from engine.models.locks import at_work

        services = self._screen.services
        return not services.pull.running and at_work(services.settings.workspace, DEFAULT_MODEL)

    def _look(self) -> None:
        """Keep saying whether another program is fetching, until there is a model."""
        if self._screen.desk.model:
            if self._looking is not None:
                self._looking.stop()
                self._looking = None
            return
        self._free = 0 if self._fetched_elsewhere() else self._free + 1
        welcome = self._welcome_shown()
        if welcome is not None and (not self._free or self._free >= _FREE_LOOKS):
            welcome.elsewhere = not self._free

    def _show(self, state: PullState) -> None:
        if state.phase != self._phase:
            self._phase = state.phase
            self._screen.refresh_bindings()
        if state.phase == "done" and not self._screen.desk.model:
            self._screen.guard(self._screen.desk.choose(state.model), "open")
        elif (welcome := self._welcome_shown()) is not None:
            welcome.pull = state
        elif state.phase == "done":
            how = "" if state.model == self._screen.desk.model else " Ctrl+O chooses it."
            self._screen.app.say(f"{state.model} is ready.{how}")
        elif state.phase == "failed":
            self._screen.app.say(f"{state.message} {state.hint}", severity="error")
