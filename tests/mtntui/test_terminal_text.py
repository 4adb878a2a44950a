"""The door for foreign text: what passes, what is shown instead, and that it costs little."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pty_program import PtyProgram
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from security.hostile import CORPUS, garbage, intrusions
from textual.color import Color

from mtntui.terminal_text import (
    MAX_MARKS,
    REPLACEMENT,
    VisibleStream,
    one_line,
    unsafe_in_cells,
    visible,
    write_out,
)
from mtntui.widgets.control_filter import ControlFilter

ROOT = Path(__file__).parents[2]
TRICKY = st.text(
    st.one_of(
        st.sampled_from("\r\n\t\x1b\x9b\u200c\u200d\ufe0f\u0301\u202e\U000e0100aي्ক漢👩❤"),
        st.characters(),
        st.characters(categories=["Cs"]),
    )
)


@pytest.mark.parametrize(
    "text",
    [
        "plain text\nwith\ttabs",
        "می‌خواهم",  # Persian: ZWNJ inside a word
        "क्‍ष ক্ষ র‍্য",  # ZWJ in Hindi and Bengali
        "👨‍👩‍👧 ❤️‍🔥 ⚠️ 1️⃣ 🇩🇪",
        "naïve café Việt Nam שָׁלוֹם السَّلَامُ",
        "e\u0301\u0323 葛\U000e0100",
        "漢字かな 한국어",
    ],
)
def test_what_people_write_passes(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m\x07\x00", "\u241b[31m\u2407\u2400"),
        ("a\r\nb\rc\x7f", "a\nb\u240dc\u2421"),
        ("\x9b31m", REPLACEMENT + "31m"),
        ("exe.\u202egpj", f"exe.{REPLACEMENT}gpj"),
        ("a\u200db pay\u200bpal", f"a{REPLACEMENT}b pay{REPLACEMENT}pal"),
        ("\u2028\ufeff\U000e0041\ud800", REPLACEMENT * 4),
        ("❤\ufe0f\ufe0f \ufe0fx\ufe0f", f"❤\ufe0f{REPLACEMENT} {REPLACEMENT}x{REPLACEMENT}"),
        ("Z" + "\u0301" * 50, "Z" + "\u0301" * MAX_MARKS + REPLACEMENT),
    ],
)
def test_what_a_terminal_would_act_on_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(TRICKY)
@settings(max_examples=500, deadline=None)
def test_nothing_unsafe_is_left_and_twice_is_once(text: str) -> None:
    shown = visible(text)
    assert not unsafe_in_cells(shown.replace("\n", "").replace("\t", ""))
    assert visible(shown) == shown
    assert shown.count("\n") == text.count("\n")
    shown.encode()


@given(st.lists(TRICKY))
@settings(max_examples=500, deadline=None)
def test_pieces_add_up_to_the_whole(pieces: list[str]) -> None:
    stream = VisibleStream()
    shown = "".join([*(stream.feed(piece) for piece in pieces), stream.finish()])
    assert shown == visible("".join(pieces))


@pytest.mark.parametrize("name", CORPUS)
def test_every_cut_of_the_corpus_adds_up(name: str) -> None:
    text = CORPUS[name][:400]
    for at in range(len(text)):
        stream = VisibleStream()
        assert stream.feed(text[:at]) + stream.feed(text[at:]) + stream.finish() == visible(text)


@pytest.mark.parametrize(
    "text", ["hello world, this is prose.\n" * 36_000, "\x1b[31m" * 200_000, "a" + "\u0301" * 1_000_000, garbage(1_000_000)]
)
def test_a_megabyte_takes_less_than_a_second(text: str) -> None:
    began = time.process_time()
    visible(text)
    assert time.process_time() - began < 1


@given(TRICKY, st.integers(0, 30))
@settings(max_examples=300, deadline=None)
def test_one_line_is_one_line_and_fits(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert not unsafe_in_cells(line)
    assert cell_len(line) <= limit


def test_one_line_says_that_it_was_cut() -> None:
    assert one_line("a title\n\tof  two lines") == "a title of  two lines"
    assert one_line("a long title", 6) == "a lon…"
    assert one_line("漢字漢字", 6) == "漢字…"
    assert one_line("x" * 10_000_000, 5) == "xxxx…"
    assert one_line("fits", 4) == "fits"


def test_a_pipe_gets_the_exact_bytes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write_out("\x1b[31m é \u202e\r\n\udcff", stream)
    assert raw.getvalue() == b"\x1b[31m \xc3\xa9 \xe2\x80\xae\r\n\xff"


WRITER = """
import json, sys
from mtntui.terminal_text import TerminalWriter, write_out
for text in json.loads(sys.argv[1]):
    write_out(text, sys.stdout)
    writer = TerminalWriter(sys.stdout)
    for char in text[:50]:
        writer.write(char)
    writer.finish()
    sys.stdout.write("\\n")
print("END")
"""


@pytest.mark.parametrize("language", ["C.UTF-8", "C"])
def test_a_terminal_gets_no_control_sequence(language: str) -> None:
    env = {"LC_ALL": language, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    texts = json.dumps([text[:2000] for text in CORPUS.values()])
    with PtyProgram([sys.executable, "-c", WRITER, texts], env=env) as program:
        assert program.wait() == 0
        output = program.output
    assert b"END" in output
    assert intrusions(output) == []
    assert b"\x1b" not in output


def test_the_door_loads_neither_textual_nor_rich() -> None:
    code = "import sys, mtntui.terminal_text; print([m for m in ('textual', 'rich') if m in sys.modules])"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CORPUS)
def test_the_filter_keeps_widths_and_lets_no_control_through(name: str) -> None:
    text = CORPUS[name].replace("\ud800", "").replace("\udfff", "").replace("\udc80", "")
    before = [Segment("plain"), Segment(text, Style(bold=True, link=text))]
    after = ControlFilter().apply(before, Color(0, 0, 0))
    assert after[0] is before[0]
    assert not unsafe_in_cells(after[1].text)
    assert not (after[1].style and after[1].style.link and unsafe_in_cells(after[1].style.link))
    assert after[1].style is not None
    assert after[1].style.bold
    if "\u200d" not in text and "\ufe0f" not in text:  # where the parts of an emoji count together
        assert cell_len(after[1].text) == sum(map(cell_len, text))


def test_the_filter_leaves_what_is_a_control_on_purpose() -> None:
    home = Segment.line()
    control = Segment("\x1b[H", None, [(1, 1)])  # type: ignore[list-item]
    assert ControlFilter().apply([control], Color(0, 0, 0)) == [control]
    assert ControlFilter().apply([home], Color(0, 0, 0))[0].text == ""
