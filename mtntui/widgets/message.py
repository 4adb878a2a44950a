"""One message of a conversation: what the user wrote, a reply, a reply while it streams."""

from collections.abc import Sequence

from textual.content import Content

from mtntui.terminal_text import one_line, visible
from mtntui.widgets.finished_markdown import render
from mtntui.widgets.page import ChromeLine, Line, Page, TextLine
from mtntui.widgets.page_view import PageView
from mtntui.widgets.streaming_markdown import StreamingMarkdown

NOTES = {
    "stopped": ("stopped", "$foreground-muted italic"),
    "cut": ("cut off at the longest reply allowed", "$text-warning italic"),
    "interrupted": ("interrupted: the program ended before the reply was complete", "$text-warning italic"),
    "failed": ("failed", "$text-error italic"),
}
"""What stands under a reply with this status; one that is complete or still streaming has nothing under it."""

RATINGS = {
    "good": ("good", "$text-success"),
    "bad": ("bad", "$text-error"),
    "corrected": ("bad, corrected", "$text-warning"),
}


def heading(name: str, style: str, rating: str | None = None) -> ChromeLine:
    """The line above a message: who speaks, and what the user thinks of it."""
    parts = [Content.styled(one_line(name, 60), style)]
    if rating is not None:
        label, colour = RATINGS[rating]
        parts += [Content.styled("  \u00b7  ", "dim"), Content.styled(label, colour)]
    return ChromeLine(Content("").join(parts))


def reply_heading(model: str, rating: str | None = None) -> ChromeLine:
    """The line above a reply: the model that gave it."""
    return heading(model or "Assistant", "$text-primary bold", rating)


def _note(status: str, detail: str) -> Sequence[Line]:
    if status not in NOTES:
        return ()
    label, style = NOTES[status]
    joint = ". " if ":" in label else ": "
    text = f"{label}{joint}{one_line(detail)}" if detail else label
    return (TextLine(""), ChromeLine(Content.styled(text, style), wraps=True))


class UserMessage(PageView):
    """What the user wrote, shown as it was typed: nothing in it is Markdown.

    Args:
        message_id: The message's record, or None when it has none.
        text: The message.
    """

    DEFAULT_CSS = """
    UserMessage {
        border-left: outer $secondary;
        padding: 0 1;
        margin: 0 0 1 0;
    }
    """

    def __init__(
        self,
        message_id: int | None,
        text: str,
        *,
        model: str = "",
        status: str = "complete",
        rating: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        self.message_id = message_id
        self.text = text
        lines = [TextLine(line) for line in visible(text).rstrip("\n").split("\n")]
        super().__init__(Page([heading("You", "$text-secondary bold"), *lines]), id=id, classes=classes)


class AssistantMessage(PageView):
    """A reply that is finished, one way or another.

    Args:
        message_id: The message's record, or None when it has none.
        text: The reply, Markdown.
        model: Name of the model that gave it.
        status: `complete`, or one of NOTES.
        rating: `good`, `bad`, `corrected`, or None.
        detail: What went wrong, for the status `failed`.
    """

    DEFAULT_CSS = """
    AssistantMessage {
        padding: 0 2;
        margin: 0 0 1 0;
    }
    """

    def __init__(
        self,
        message_id: int | None,
        text: str,
        *,
        model: str = "",
        status: str = "complete",
        rating: str | None = None,
        detail: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        self.message_id = message_id
        self.text = text
        self.model = model
        self.status = status
        self.rating = rating
        self._detail = detail
        self._body = render(text)
        super().__init__(self._compose_page(), id=id, classes=classes)

    def update_status(self, status: str, detail: str = "") -> None:
        """Show another status under the reply."""
        self.status, self._detail = status, detail
        self.show(self._compose_page())

    def update_rating(self, rating: str | None) -> None:
        """Show another rating above the reply, or none.

        Raises:
            KeyError: `rating` is none of RATINGS.
        """
        self.rating = rating
        self.show(self._compose_page())

    def _compose_page(self) -> Page:
        note = _note(self.status, self._detail)
        return Page([reply_heading(self.model, self.rating), *self._body.lines, *note])


class StreamingMessage(StreamingMarkdown):
    """A reply while it streams, in the place and with the look that its AssistantMessage will have.

    Args:
        message_id: The message's record, or None when it has none.
        model: Name of the model that gives it.
        rate: Updates per second.
    """

    DEFAULT_CSS = """
    StreamingMessage {
        padding: 0 2;
        margin: 0 0 1 0;
    }
    """

    def __init__(
        self,
        message_id: int | None = None,
        *,
        model: str = "",
        rate: float = 12.0,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        self.message_id = message_id
        self.model = model
        super().__init__(rate=rate, head=[reply_heading(model)], id=id, classes=classes)
