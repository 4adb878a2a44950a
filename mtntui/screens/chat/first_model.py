"""The first start: no model is there, and one is fetched in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.css.query import NoMatches

if TYPE_CHECKING:
    from mtntui.model_pull import PullState
    from mtntui.screens.chat.screen import ChatScreen
    from mtntui.widgets.welcome import Welcome


class FirstModel:
    """Offers the small model while there is none, and takes it into use when it has come.

    Args:
        screen: where this happens.
    """

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._listening = False
        self._phase = ""

    def welcome(self, model: str) -> Welcome:
        """What an empty transcript shows."""
        from mtntui.widgets.welcome import Welcome

        if model:
            return Welcome("ready", model)
        from engine.models.catalogue import DEFAULT_MODEL

        self.listen()
        welcome = Welcome("no_model", DEFAULT_MODEL)
        self._screen.call_after_refresh(self._show, self._screen.services.pull.state)
        return welcome

    @property
    def pulling(self) -> bool:
        """Whether a first model is on its way."""
        return self._listening and not self._screen.desk.model and self._screen.services.pull.running

    def start(self) -> None:
        """Fetch the small model."""
        from engine.models.catalogue import DEFAULT_MODEL

        self._screen.services.pull.start(DEFAULT_MODEL)

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

    def _show(self, state: PullState) -> None:
        from mtntui.widgets.welcome import Welcome

        if state.phase != self._phase:
            self._phase = state.phase
            self._screen.refresh_bindings()
        if state.phase == "done" and not self._screen.desk.model:
            self._screen.guard(self._screen.desk.choose(state.model), "open")
            return
        try:
            self._screen.transcript.query_one(Welcome).pull = state
        except NoMatches:  # A conversation is open.
            if state.phase == "done":
                self._screen.app.say(f"{state.model} is ready. Ctrl+O chooses it.")
            elif state.phase == "failed":
                self._screen.app.say(f"{state.message} {state.hint}", severity="error")
