"""Lines of a code block, coloured piece by piece and only when they are drawn.

Colouring a whole block again for each line that comes is quadratic. So a block is cut into pieces by a rule that looks
only at the text before and at the line after a cut: however the text arrives, the pieces are the same, and those that
are complete never change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token
from pygments.util import ClassNotFound
from textual.content import Content, Span

from mtntui.widgets.page import TextLine

CUT_AFTER = 40
"""A piece ends at the first good place after this many lines..."""

CUT_AT = 200
"""...and at this many lines in any case, so that what is coloured anew while text streams stays small."""

LONGEST_COLOURED = 500
"""Pieces with a longer line stay plain: nobody wrote such a line by hand, and some lexers are slow on it."""

FILL = "on $surface"

STYLES: dict[object, str] = {
    Token.Comment: "$foreground-muted italic",
    Token.Comment.Preproc: "$text-accent",
    Token.Keyword: "$text-primary bold",
    Token.Keyword.Constant: "$text-warning",
    Token.Operator.Word: "$text-primary bold",
    Token.Literal.String: "$text-success",
    Token.Literal.Number: "$text-warning",
    Token.Name.Function: "$text-secondary",
    Token.Name.Class: "$text-secondary bold",
    Token.Name.Decorator: "$text-accent",
    Token.Name.Tag: "$text-primary",
    Token.Name.Attribute: "$text-secondary",
    Token.Name.Builtin: "$text-secondary",
    Token.Generic.Inserted: "$text-success",
    Token.Generic.Deleted: "$text-error",
    Token.Generic.Heading: "bold",
    Token.Generic.Subheading: "bold",
}
"""Few colours, all the theme's own, so that they hold in 16 colours; bold and italic carry them without any."""


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    """The lexer for the language that a fence names, or None; cached because a miss searches all plugins."""
    if not language:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=True)
    except ClassNotFound:
        return None


@lru_cache(maxsize=128)
def _colour(language: str, code: str) -> list[list[Span]]:
    """For each line of `code`, its coloured spans."""
    lines = code.split("\n")
    coloured: list[list[Span]] = [[] for _ in lines]
    lexer = _lexer(language)
    if lexer is None or max(map(len, lines)) > LONGEST_COLOURED:
        return coloured
    number = column = 0
    for kind, value in lexer.get_tokens(code):
        style = _style(kind)
        for count, part in enumerate(value.split("\n")):
            if count:
                number, column = number + 1, 0
            if part:
                if style and number < len(lines):
                    coloured[number].append(Span(column, column + len(part), style))
                column += len(part)
    return coloured


@lru_cache(maxsize=256)
def _style(kind: object) -> str:
    while kind is not None:
        if kind in STYLES:
            return STYLES[kind]
        kind = getattr(kind, "parent", None)
    return ""


def cut_into_pieces(language: str, lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The pieces of a code block, as ranges of its lines."""
    start = 0
    for at in range(1, len(lines)):
        size = at - start
        if size >= CUT_AT or (size >= CUT_AFTER and _is_good_cut(language, lines, start, at)):
            yield start, at
            start = at
    if start < len(lines) or not lines:
        yield start, len(lines)


def _is_good_cut(language: str, lines: Sequence[str], start: int, at: int) -> bool:
    """Whether line `at` starts something new: after a blank line, at the margin, and coloured alike alone or not."""
    line = lines[at]
    if not line or line[0].isspace() or lines[at - 1].strip():
        return False
    return _colour(language, "\n".join(lines[start : at + 1]))[-1] == _colour(language, line)[-1]


@dataclass(slots=True)
class CodeLine(TextLine):
    """A line of code: coloured together with its piece when it is first drawn."""

    language: str = ""
    piece: Sequence[str] = ()
    index: int = 0

    def styled(self) -> Content:
        spans = _colour(self.language, "\n".join(self.piece))[self.index]
        return Content(self.text, list(spans), strip_control_codes=False)


def code_lines(language: str, piece: Sequence[str], lead: str) -> list[CodeLine]:
    """The lines of one piece of a code block. `lead` stands before each of its rows."""
    return [
        CodeLine(
            text,
            lead=lead,
            hang=len(text) - len(text.lstrip(" ")) + 2,
            fill=FILL,
            language=language,
            piece=piece,
            index=index,
        )
        for index, text in enumerate(piece)
    ]
