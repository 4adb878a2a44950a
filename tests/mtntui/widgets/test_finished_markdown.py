"""What Markdown looks like as a page, row by row."""

import time
from itertools import pairwise

import pytest
from textual.style import Style
from textual.visual import RenderOptions

from mtntui.widgets.finished_markdown import render
from mtntui.widgets.page import Page, cells, wrap


def rows(markdown: str, width: int = 40) -> list[str]:
    """The rows of a page without the blanks at their ends."""
    options = RenderOptions(lambda style: style if isinstance(style, Style) else Style(), {})
    return [strip.text.rstrip() for strip in render(markdown).render_strips(width, None, Style(), options)]


def styles_of(page: Page, text: str) -> set[str]:
    """The styles on the first line that holds `text`, over all of it."""
    line = next(line for line in page.lines if text in line.text)
    start = line.text.index(text)
    content = line.draw(0, 200)[-1][0]
    return {str(span.style) for span in content.spans if span.start <= start and span.end >= start + len(text)}


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# One\n## Two\ntext", ["One", "", "Two", "", "text"]),
        ("a\nb  \nc", ["a", "b", "c"]),
        ("- a\n- b\n\n- c\n  - d", ["• a", "• b", "", "• c", "  ◦ d"]),
        ("text\n- a\n\n  more\n- b", ["text", "• a", "", "  more", "• b"]),
        ("9. a\n9. b\n", ["9. a", "10. b"]),
        ("- [ ] a\n- [x] b", ["[ ] a", "[x] b"]),
        ("```py\nx = 1\n\ny\n```", ["▏py", "▏x = 1", "▏", "▏y"]),
        ("1. a\n   ```\n   x\n   ```", ["1. a", "   ▏x"]),
        ("> a\n>\n> b\n>> c\n\nd", ["▌ a", "▌", "▌ b", "▌ ▌ c", "", "d"]),
        ("a\n***\nb", ["a", "", "─" * 40, "", "b"]),
        ("[text](http://a.b) <http://c.d> <e@f.g>", ["text (http://a.b) http://c.d e@f.g"]),
        ("![alt](http://a.b/c.png)", ["[image: alt] (http://a.b/c.png)"]),
        ("a<br><b>b</b>\n\n<div>\nx\n</div>", ["a<br><b>b</b>", "", "<div>", "x", "</div>"]),
        ("[bold]x[/bold] [@click=app.exit]y[/] [/foo]", ["[bold]x[/bold] [@click=app.exit]y[/]", "[/foo]"]),
        ("|a|b|\n|-|-:|\n|x|1|\n|漢字|22|", ["a    │  b", "─────┼───", "x    │  1", "漢字 │ 22"]),
        ("```", []),
        ("", []),
    ],
)
def test_rows(markdown: str, expected: list[str]) -> None:
    assert rows(markdown) == expected


def test_following_rows_hang_under_the_words() -> None:
    assert rows("10. one two three four five six\n    - seven eight nine ten", 16) == [
        "10. one two",
        "    three four",
        "    five six",
        "    ◦ seven",
        "      eight nine",
        "      ten",
    ]
    assert rows("> one two three four", 12) == ["▌ one two", "▌ three four"]


def test_a_wide_table_wraps_its_cells_and_then_becomes_records() -> None:
    table = "| name | what it does |\n|---|---|\n| one | some longer words here |\n| two | x |"
    assert rows(table, 22) == [
        "name │ what it does",
        "─────┼────────────────",
        "one  │ some longer",
        "     │ words here",
        "two  │ x",
    ]
    assert rows(table, 10)[:3] == ["──────", "name: one", "what it"]
    assert "──────" in rows(table, 10)[3:]


def test_emphasis_and_code_have_styles() -> None:
    page = render("a *b* **c** ~~d~~ `e` [f](http://g) ***both***")
    assert styles_of(page, "b") == {"italic"}
    assert styles_of(page, "c") == {"bold"}
    assert styles_of(page, "d") == {"strike"}
    assert "$surface" in "".join(styles_of(page, "e"))
    assert "underline" in "".join(styles_of(page, "f"))
    assert styles_of(page, "both") == {"bold", "italic"}


def test_code_is_coloured_and_an_unknown_language_is_plain() -> None:
    page = render("```python\ndef f(): pass\n```\n\n```nonsense\ndef g(): pass\n```")
    assert any("bold" in style for style in styles_of(page, "def f")) is False
    assert {str(span.style) for span in page.lines[1].draw(0, 80)[-1][0].spans} >= {"$text-primary bold"}
    assert not page.lines[-1].draw(0, 80)[-1][0].spans


def test_what_is_copied_has_no_decoration() -> None:
    text = "> quoted\n\n1. a\n   ```py\n   x = 1\n   ```\n2. b\n\n|a|b|\n|-|-|\n|c|d|"
    assert render(text).plain.split("\n") == [
        "quoted", "", "1. a", "", "x = 1", "2. b", "", "a | b", "", "c | d"
    ]  # fmt: skip


def test_a_link_that_is_no_link_stays_text() -> None:
    assert rows("[a](javascript:alert(1))") == ["[a](javascript:alert(1))"]


def test_text_too_deep_for_the_parser_is_shown_as_it_is() -> None:
    assert "the end" in render(">" * 300 + " the end").plain
    deep = "".join("  " * depth + f"- level{depth}\n" for depth in range(60))
    assert all(f"level{depth}" in render(deep).plain for depth in range(60))


@pytest.mark.parametrize("width", [1, 2, 3, 5, 9, 20])
def test_no_row_is_wider_than_the_page(width: int) -> None:
    text = "words and averyveryverylongword 漢字漢字漢字 👨‍👩‍👧 e\u0301e\u0301 \ttab"
    starts = [*wrap(text, width, min(2, width // 3)), len(text)]
    pieces = [text[start:end].rstrip() for start, end in pairwise(starts)]
    assert "".join("".join(pieces).split()) == "".join(text.split())
    widest = max(2, width) + (3 if width < 4 else 0)  # one character (a tab has four cells) is not cut
    assert all(cells(piece) <= widest for piece in pieces)


def test_speed() -> None:
    block = "# Title\n\nSome *emphasis*, `code` and a [link](http://x.example) in words.\n\n- a\n  - b\n\n"
    block += "```python\ndef f(x):\n    return x\n```\n\n| a | b |\n|---|---|\n| c | d |\n\n> quote\n\n"
    small, large = (block * 30)[:5_000], (block * 1200)[:200_000]
    render(small)
    for text, budget in ((small, 0.010), (large, 0.500)):
        took = []
        for _ in range(3):
            began = time.process_time()
            render(text)
            took.append(time.process_time() - began)
        assert min(took) < budget * 2  # twice the budget: a busy machine is no defect
