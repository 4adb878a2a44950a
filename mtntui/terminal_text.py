"""The only door for text that others wrote: a reply, a log, a file name, an error from a server.

Such text may hold escape sequences, bidirectional overrides or characters that nobody sees. A terminal acts on them;
here they become symbols that a person sees, each one cell wide, so that widths agree with what is drawn. Stored data
stays as it was: this is applied on the way to the screen, never on the way to the store.
"""

import re
import unicodedata
from functools import cache
from typing import TextIO

REPLACEMENT = "\ufffd"
"""Stands for a character that must not reach a terminal and has no picture of its own."""

MAX_MARKS = 8
"""Combining marks left on one character. Real writing needs at most about five; a flood of them ("zalgo") is drawn
over the neighbouring lines by some terminals, so what goes beyond is replaced by one REPLACEMENT."""

_C0 = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
_HIDDEN = (
    r"\x80-\x9f"  # C1: 8-bit CSI, OSC, DCS
    r"\xad"  # soft hyphen: drawn by some terminals, not by others
    r"\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # joiners and fillers without a shape
    r"\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"  # zero width, line ends, bidi controls
    r"\ufff0-\ufffb\ufffe\uffff\ufdd0-\ufdef"  # interlinear annotation, noncharacters
    r"\ud800-\udfff"  # lone surrogates: cannot be encoded
    r"\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # layout controls of rare scripts
    r"\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags: whole sentences can hide in them
)
_PLANE_ENDS = "".join(rf"\U{plane:04x}fffe\U{plane:04x}ffff" for plane in range(1, 17))
_SELECTORS = r"\ufe00-\ufe0f\U000e0100-\U000e01ef"
_JOINERS = r"\u200c\u200d"
_MARK_BLOCKS = (  # where combining marks live, without what _HIDDEN has; most of these blocks hold letters too
    r"\u0300-\u034e\u0350-\u036f\u0483-\u0489\u0591-\u061b\u061d-\u115e\u1161-\u17b3\u17b6-\u180a\u1810-\u1cff"
    r"\u1dc0-\u1dff\u20d0-\u20f0\u2cef-\u2cf1\u2d7f\u2de0-\u2dff\u302a-\u302f\u3099\u309a\ua66f-\uabff"
    r"\ufb1e\ufe20-\ufe2f\U000101fd-\U00011fff\U00016af0-\U0001bc9f\U0001bca4-\U0001d172\U0001d17b-\U0001e94f"
)

_SUSPECT = re.compile(rf"\r\n?|[{_C0}{_HIDDEN}{_PLANE_ENDS}{_SELECTORS}{_JOINERS}]|[{_MARK_BLOCKS}]{{{MAX_MARKS + 1},}}")
_ASCII_CONTROL = re.compile(rf"[\r{_C0}]")
_UNSAFE = re.compile(rf"[{_C0}\t\n\r{_HIDDEN}{_PLANE_ENDS}]")

# Scripts whose letters take another shape beside ZWNJ or ZWJ: Arabic and its kin, Indic, Khmer, Mongolian.
_SHAPED = re.compile(r"[\u0600-\u0dff\u1000-\u109f\u1780-\u17dd\u1800-\u18af\ua8e0-\ua8ff\ufb50-\ufdcf\ufe70-\ufefc]")
_EMOJI = re.compile(r"[\u2190-\u2bff\u3030\u303d\u3297\u3299\u00a9\u00ae\u203c\u2049\u2122\u2139\U0001f000-\U0001faff]")
_VARIED = re.compile(rf"[#*0-9]|(?!\s)[^\x00-\xa0{_HIDDEN}{_PLANE_ENDS}{_SELECTORS}{_JOINERS}]")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")


def visible(text: str) -> str:
    """`text` as it may be shown in a terminal.

    Line feeds and tabs stay; CR LF becomes a line feed; every other control character, and every character that is
    invisible or reorders its neighbours, becomes a symbol one cell wide. ZWJ stays inside an emoji, ZWJ and ZWNJ
    after a letter of a script that is shaped by them, one variation selector after a character it can vary, and up to
    MAX_MARKS combining marks in a row.

    Applying it twice changes nothing. It looks at neighbours, so for text that comes in pieces use VisibleStream.
    """
    if text.isascii() and _ASCII_CONTROL.search(text) is None:  # most text: eight times faster than _SUSPECT alone
        return text
    return _SUSPECT.sub(_replace, text)


def _replace(match: re.Match[str]) -> str:
    found = match.group()
    if len(found) > MAX_MARKS:
        return _cap_marks(found)
    if found == "\r\n":
        return "\n"
    code = ord(found)
    if code < 0x20 or code == 0x7F:
        return "\u2421" if code == 0x7F else chr(0x2400 + code)
    return found if _serves_its_neighbours(match.string, match.start()) else REPLACEMENT


def _serves_its_neighbours(text: str, at: int) -> bool:
    """Whether the joiner or variation selector at `at` does in its place what it was made for."""
    char, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if char in "\u200c\u200d":
        if _SHAPED.match(before):
            # Between two marks it would only break a flood of them into rows that are short enough.
            return not (_is_mark(before) and _is_mark(after))
        if before == "\ufe0f":  # a heart with its variation selector, in the emoji of a couple
            before = text[max(0, at - 2) : at - 1]
        return char == "\u200d" and bool(_EMOJI.match(before) and _EMOJI.match(after))
    if "\ufe00" <= char <= "\ufe0f":
        return bool(_VARIED.match(before)) and not _is_mark(before)
    return "\U000e0100" <= char <= "\U000e01ef" and bool(_IDEOGRAPH.match(before))


def _is_mark(char: str) -> bool:
    return char != "" and unicodedata.category(char).startswith("M")


@cache
def _marks() -> frozenset[str]:
    """The combining marks that take no cell; made on first need, because the scan takes some milliseconds."""
    planes = (chr(code) for code in range(0x300, 0x20000))
    return frozenset(char for char in planes if unicodedata.category(char) in {"Mn", "Me"})


def _cap_marks(run: str) -> str:
    """`run` with the marks after the first MAX_MARKS of each row of marks replaced by one REPLACEMENT."""
    marks = _marks()
    kept: list[str] = []
    row = 0
    for char in run:
        row = row + 1 if char in marks else 0
        if row <= MAX_MARKS:
            kept.append(char)
        elif row == MAX_MARKS + 1:
            kept.append(REPLACEMENT)
    return "".join(kept)


class VisibleStream:
    """`visible` for text that comes in pieces: the pieces it returns add up to `visible` of the whole.

    It remembers the few characters that the next ones may depend on, and holds back only a carriage return, a joiner
    or a selector at the end of a piece until the next one comes.
    """

    _CONTEXT = 4 * MAX_MARKS

    def __init__(self) -> None:
        self._before = ""
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be shown now that `text` has come."""
        text = self._held + text
        keep = len(text) - len(text.rstrip("\r\u200c\u200d"))
        self._held = text[len(text) - keep :]
        return self._show(text[: len(text) - keep])

    def finish(self) -> str:
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return self._show(held)

    def _show(self, text: str) -> str:
        shown = visible(self._before + text)[len(visible(self._before)) :]
        self._before = (self._before + text)[-self._CONTEXT :]
        return shown


def one_line(text: str, limit: int | None = None) -> str:
    """`text` for a title, a file name or a table's cell: visible, on one line, at most `limit` cells wide.

    Rows of line feeds and tabs become one space. What is too long ends in an ellipsis, inside the limit.
    """
    cut = limit is not None and len(text) > 16 * limit + 64  # never look at a megabyte for a title
    if cut and limit is not None:
        text = text[: 16 * limit + 64]
    line = re.sub(r"[\n\t]+", " ", visible(text)).strip()
    if limit is None or (not cut and _cells(line) <= limit):
        return line
    width, kept = 0, 0
    for char in line:
        width += _cells(char)
        if width > limit - 1:
            break
        kept += 1
    return line[:kept].rstrip() + "\u2026" if limit > 0 else ""


def _cells(text: str) -> int:
    """Cells that `text` takes, at most: emoji sequences count each of their parts."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    flat = sum(unicodedata.category(char) in {"Mn", "Me", "Cf"} for char in text)
    return len(text) + wide - flat


def unsafe_in_cells(text: str) -> bool:
    """Whether `text` still holds a character that must not stand in a terminal's cell (line feed and tab too)."""
    return _UNSAFE.search(text) is not None


def write_out(text: str, stream: TextIO) -> None:
    """Write `text` to a program's output: visible when `stream` is a terminal, its exact UTF-8 bytes when not.

    A character that the terminal's encoding lacks becomes a question mark. Bytes that Python carries as surrogates
    (undecodable file names) leave a pipe as they were.
    """
    writer = TerminalWriter(stream)
    writer.write(text)
    writer.finish()


class TerminalWriter:
    """`write_out` for text that comes in pieces: `write` each of them, then `finish`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._visible = VisibleStream() if stream.isatty() else None

    def write(self, text: str) -> None:
        """Write a piece and flush it."""
        if self._visible is None:
            self._write_exact(text)
        else:
            self._write_shown(self._visible.feed(text))

    def finish(self) -> None:
        """Write what a following piece could have changed."""
        if self._visible is not None:
            self._write_shown(self._visible.finish())

    def _write_shown(self, text: str) -> None:
        encoding = self._stream.encoding or "ascii"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()

    def _write_exact(self, text: str) -> None:
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:  # a StringIO: it holds text, not bytes
            self._stream.write(text)
            return
        self._stream.flush()
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half of a pair, as JSON can carry it: no byte stands for it
            data = text.encode("utf-8", "replace")
        left = memoryview(data)
        while left:  # with PYTHONUNBUFFERED the buffer is the file itself, which may take only a part at a time
            left = left[buffer.write(left) :]
        buffer.flush()
