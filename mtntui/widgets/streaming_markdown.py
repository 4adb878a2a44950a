"""A reply while it streams."""

from collections.abc import Sequence
from time import monotonic, perf_counter

from textual.timer import Timer

from mtntui.widgets.growing_page import GrowingPage
from mtntui.widgets.page import Line
from mtntui.widgets.page_view import PageView

BUSY = 0.1
"""The part of the time that may go into laying out one reply: a text that is dear to parse is shown less often."""


class StreamingMarkdown(PageView):
    """Shows Markdown that comes in pieces. It begins empty and only grows.

    What is appended is gathered and shown at `rate` times a second, and at each line's end when `rate` is 8 or more.
    Nothing is drawn while it is held, so that a reader who scrolled up is not disturbed.

    Args:
        rate: Updates per second; 4 for a slow line.
        head: Lines that stand above the text.
    """

    def __init__(
        self,
        *,
        rate: float = 12.0,
        head: Sequence[Line] = (),
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        self._growing = GrowingPage(head)
        super().__init__(self._growing.page, id=id, classes=classes)
        self._interval = 1 / rate
        self._at_line_ends = rate >= 8
        self._pending: list[str] = []
        self._timer: Timer | None = None
        self._held = False
        self._finished = False
        self._shown_at = 0.0
        self._cost = 0.0

    @property
    def text(self) -> str:
        """All that was appended, as it came."""
        return self._growing.text + "".join(self._pending)

    @property
    def held(self) -> bool:
        """Whether what is appended waits for `release`."""
        return self._held

    def append_text(self, text: str) -> None:
        """Add a piece of the reply; it is shown soon.

        Raises:
            RuntimeError: the reply was finished before.
        """
        if self._finished:
            raise RuntimeError("the reply is finished: nothing can be added to it")
        if text:
            self._pending.append(text)
            self._schedule("\n" in text)

    def hold(self) -> None:
        """Keep what comes until `release`; what is on the screen stays."""
        self._held = True
        self._stop_timer()

    def release(self) -> None:
        """Show what has come since `hold`, and go on."""
        self._held = False
        self._flush()

    def finish(self) -> None:
        """Show all of the reply, held or not; nothing can be added any more."""
        if self._finished:
            return
        self._held = False
        self._flush()
        self._finished = True
        self.show(self._growing.finish(), self._growing.changed_from)

    def on_mount(self) -> None:
        if not self._held:
            self._flush()

    def on_unmount(self) -> None:
        self._stop_timer()

    def _schedule(self, line_ended: bool) -> None:
        if self._held or not self.is_running:
            return
        since = monotonic() - self._shown_at
        wait = max(self._interval, self._cost / BUSY) - since
        if line_ended and self._at_line_ends:
            wait -= self._interval / 2
        if wait <= 0:
            self._flush()
        elif self._timer is None:
            self._timer = self.set_timer(wait, self._flush)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _flush(self) -> None:
        self._stop_timer()
        if not self._pending or not self.is_running:
            return
        text = "".join(self._pending)
        self._pending.clear()
        began = perf_counter()
        self.show(self._growing.append(text), self._growing.changed_from)
        self._cost = perf_counter() - began
        self._shown_at = monotonic()
