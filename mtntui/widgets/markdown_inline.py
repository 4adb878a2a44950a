"""Words of a Markdown block: its inline tokens as text with styles."""

from collections.abc import Sequence

from markdown_it.token import Token
from textual.content import Span

from mtntui.terminal_text import visible

STYLES = {
    "strong": "bold",
    "em": "italic",
    "s": "strike",
    "link": "$text-primary underline",
    "code": "$text-accent on $surface",
    "address": "$foreground-muted",
}


def inline(token: Token, base: str = "") -> tuple[str, list[Span]]:
    """The text of an inline token and its spans; `base` is a style under all of it.

    Every line break stays one: models end a line where they mean to (verse, addresses), though Markdown would join the lines.
    A link is its text followed by its address: an address is shown, never opened.
    Entities can name any character, so what they give passes the door again.
    """
    parts: list[str] = []
    spans: list[Span] = []
    open_spans: list[tuple[int, str, str]] = []
    at = 0

    def add(text: str, style: str = "") -> None:
        nonlocal at
        if style and text:
            spans.append(Span(at, at + len(text), style))
        parts.append(text)
        at += len(text)

    for child in token.children or ():
        kind, _, edge = child.type.rpartition("_")
        if edge == "open":
            open_spans.append((at, kind, str(child.attrs.get("href", ""))))
        elif edge == "close":
            start, kind, address = open_spans.pop()
            if at > start:
                spans.append(Span(start, at, STYLES.get(kind, "")))
            if kind == "link" and address and not _shows("".join(parts)[start:], address):
                add(f" ({address})", STYLES["address"])
        elif child.type == "image":
            add(f"[image: {child.content}]" if child.content else "[image]", "italic")
            add(f" ({child.attrs.get('src', '')})", STYLES["address"])
        elif child.type == "code_inline":
            add(child.content, STYLES["code"])
        else:
            add("\n" if child.type in {"softbreak", "hardbreak"} else child.content)
    return _checked("".join(parts), spans, base)


def _shows(text: str, address: str) -> bool:
    """Whether a link's text is its address already."""
    return address in {text, f"mailto:{text}"}


def _checked(text: str, spans: Sequence[Span], base: str) -> tuple[str, list[Span]]:
    safe = visible(text)
    kept = [span for span in spans if span.style and span.start < len(safe)]
    return safe, [Span(0, len(safe), base), *kept] if base and safe else kept
