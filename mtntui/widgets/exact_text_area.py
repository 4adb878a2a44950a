"""A text area that gives back exactly what was put in."""

from __future__ import annotations

from textual.document._document import Document, EditResult, Location
from textual.document._document_navigator import DocumentNavigator
from textual.document._wrapped_document import WrappedDocument
from textual.events import Paste
from textual.widgets import TextArea


class _LineFeedDocument(Document):
    """A document whose lines end with line feeds alone.

    Textual's own ends them also at U+2028, U+0085, form feeds and whatever else Python's `splitlines` knows, and joins them
    with the first kind of line end that it met: what is read from it is not what was typed.
    """

    def __init__(self, text: str) -> None:
        super().__init__("")
        self._lines = text.split("\n")

    def replace_range(self, start: Location, end: Location, text: str) -> EditResult:
        """Replace the text between two places; returns where it ends and what was replaced."""
        (top, left), (bottom, right) = sorted((start, end))
        replaced = self.get_text_range((top, left), (bottom, right))
        inserted = text.split("\n")
        before = self._lines[top][:left] if top < len(self._lines) else ""
        after = self._lines[bottom][right:] if bottom < len(self._lines) else ""
        inserted[0] = before + inserted[0]
        end_location = (top + len(inserted) - 1, len(inserted[-1]))
        inserted[-1] += after
        self._lines[top : bottom + 1] = inserted
        return EditResult(end_location, replaced)


class ExactTextArea(TextArea):
    """A text area for plain text. `text` is what was loaded, typed and pasted, to the character; only pasted line ends are
    made line feeds, since terminals send them as Enter."""

    def _set_document(self, text: str, language: str | None) -> None:
        super()._set_document("", None)
        self.document = _LineFeedDocument(text)
        self.wrapped_document = WrappedDocument(self.document, tab_width=self.indent_width)
        self.navigator = DocumentNavigator(self.wrapped_document)
        self._rewrap_and_refresh_virtual_size()

    async def _on_paste(self, event: Paste) -> None:
        event.prevent_default()  # Else Textual would paste the text a second time, by the base class's handler.
        event.text = event.text.replace("\r\n", "\n").replace("\r", "\n")  # tmux and others paste line ends as Enter
        await super()._on_paste(event)
