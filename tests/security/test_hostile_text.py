"""Whatever a text holds, the terminal gets none of it as a command, and no widget falls over."""

import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pty_program import PtyProgram
from security.hostile import CORPUS, MARK, SEQUENCES, garbage, intrusions
from textual.app import App
from textual.style import Style
from textual.visual import RenderOptions

from mtntui.terminal_text import unsafe_in_cells, visible
from mtntui.widgets.finished_markdown import render
from mtntui.widgets.growing_page import GrowingPage
from mtntui.widgets.message import AssistantMessage, StreamingMessage, UserMessage
from mtntui.widgets.page import Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ANY_TEXT = st.text(
    st.one_of(
        st.characters(), st.sampled_from("\x1b\x9b\x07[]\u202e\u200d\ufe0f\u0301\r\n|-#>*`&;"), st.characters(categories=["Cs"])
    ),
    max_size=200,
)


@pytest.mark.parametrize("kind", ["user", "assistant", "streaming", "unguarded", "linked"])
def test_no_control_sequence_reaches_the_terminal(kind: str) -> None:
    app = [sys.executable, HERE / "hostile_app.py", kind]
    with PtyProgram(app, columns=100, rows=40, env={"PYTHONPATH": f"{ROOT}:{HERE.parent}"}) as program:
        program.wait_for(b"ALL SHOWN", timeout=60)
        assert program.wait() == 0
        output = program.output
    assert b"Traceback" not in output
    for name in ("<colour>", "<deep list>"):
        assert name.encode() in output, "the corpus was not drawn"
    assert intrusions(output, links=kind == "linked") == []


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_reader_of_output_sees_an_intrusion(name: str) -> None:
    assert intrusions(b"text" + SEQUENCES[name].encode() + b"text")


def test_the_reader_of_output_lets_textual_pass() -> None:
    assert intrusions(b"\x1b[?1049h\x1b[1;1H\x1b[38;2;1;2;3mtext\x1b[0m\r\n\x1b[?25l") == []


def rows(page: Page, width: int) -> list[str]:
    options = RenderOptions(lambda style: style if isinstance(style, Style) else Style(), {})
    return [strip.text for strip in page.render_strips(width, None, Style(), options)]


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("width", [1, 7, 80])
def test_a_page_of_hostile_text_is_harmless_and_fits(name: str, width: int) -> None:
    page = render(CORPUS[name])
    strips = page.render_strips(width, None, Style(), RenderOptions(_plain, {}))
    assert all(strip.cell_length == width for strip in strips)
    assert not any(unsafe_in_cells(strip.text) for strip in strips)
    assert not any(unsafe_in_cells(line) for line in page.plain.split("\n") if "\t" not in line)


def _plain(style: str | Style) -> Style:
    return style if isinstance(style, Style) else Style()


@given(ANY_TEXT, st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_any_text_makes_a_harmless_page(text: str, width: int) -> None:
    assert not any(unsafe_in_cells(row) for row in rows(render(text), width))


@given(st.lists(ANY_TEXT, max_size=6), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_any_pieces_make_a_harmless_page(pieces: list[str], width: int) -> None:
    growing = GrowingPage()
    for piece in pieces:
        assert not any(unsafe_in_cells(row) for row in rows(growing.append(piece), width))
    growing.finish()


def test_a_megabyte_of_garbage_is_shown() -> None:
    text = garbage(1_000_000)
    began = time.process_time()
    page = render(text)
    page.height(80)
    assert time.process_time() - began < 15
    assert not any(unsafe_in_cells(line.text.replace("\t", "")) for line in page.lines)
    assert visible(visible(text)) == visible(text)


async def test_garbage_streams_through_a_mounted_widget() -> None:
    text = garbage(30_000, seed=1)
    app: App[None] = App()
    async with app.run_test(size=(60, 20)) as pilot:
        widget = StreamingMessage(rate=200)
        await app.mount(UserMessage(1, text[:2000]), AssistantMessage(2, text[:5000], model=text[:50]), widget)
        for at in range(0, len(text), 997):
            widget.append_text(text[at : at + 997])
            await pilot.pause(0.001)
        widget.finish()
        await pilot.pause()
        assert widget.text == text
        assert widget.size.height == widget.page.height(widget.size.width)


def test_nothing_of_the_corpus_is_lost_but_shown_otherwise() -> None:
    for name, text in SEQUENCES.items():
        if MARK in text:
            assert MARK in render(text).plain, name
