"""However a reply is cut into pieces, the page that grows is the page of the whole."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtntui.widgets.finished_markdown import render
from mtntui.widgets.growing_page import GrowingPage
from mtntui.widgets.page import Page

DOCUMENTS = {
    "nested lists": (
        "Steps:\n- one\n- two **bold**\n  - two a\n    - deep\n  - two b\n\n    more of b\n- three\n\n- four, loose\n"
        "* another list\n* its second\n\nEnd."
    ),
    "ordered lists": ("1. one\n1. two\n1. three\n   1. inner\n   2. inner\n\n8) eight\n9) nine\n10) ten\n\n    code?\n\ntext"),
    "fences in lists": (
        "1. Do this:\n   ```bash\n   ls -l\n\n   cd /tmp\n   ```\n2. Then:\n\n   ```python\n   x = 1\n   ```\n\n3. end\n"
    ),
    "tables": (
        "Before\n\n| name | n | what |\n|:-----|--:|:----:|\n| a | 1 | **bold** |\n| long name here | 22 | `c` |\n"
        "| x | 3 | y |\n| only one |\nAfter it\n\n| a |\n|---|\n\nEnd"
    ),
    "quotes": "> one\n> two\n>\n> - a\n> - b\n>> deeper\n\n> new\nlazy\n\ntext\n> ```\n> code\n> ```\n",
    "open fence": "Look:\n```python\ndef f():\n    return 1\n\n\n# end",
    "headings": "Title\n=====\ntext\n# One\n## Two #\nbody\n\nSub\n---\n\n---\n***\n- a\n---\nb",
    "tilde and indented": "~~~\na\n```\nb\n~~~\n\n    indented\n\n    more\n\ntext  \nhard\\\nbreak",
    "breaks": "a\r\nb\r\n\r\n- c\r\n- d\r\n\r\n```\r\nx\r\n```\r\n",
    "definitions": "See [a] and [b][x].\n\n[a]: http://a.example\n\n- [a]\n- [x]\n\n[x]: http://x.example 'T'\n\nend [a]",
    "tasks": "- [ ] open\n- [x] done\n  - [ ] inner\n-\n- \n\n1.\n2. x",
    "long code": "```python\n" + "".join(f"def f{n}():\n    return {n}\n\n" for n in range(60)) + "```\nend",
    "long docstring": '```python\n"""\n' + "words in it\n\n" * 130 + '"""\nx = 1\n```\n',
}


def picture(page: Page, width: int) -> list[object]:
    """Everything that decides how a page looks and what is copied from it."""
    return [
        (line.text, line.fill, [(part.plain, list(part.spans), at) for part, at in line.draw(row, width)])
        for line in page.lines
        for row in range(line.row_count(width))
    ]


def grown(text: str, sizes: list[int]) -> GrowingPage:
    """A page to which `text` was added in pieces of these sizes, over and over."""
    growing = GrowingPage()
    at = turn = 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        growing.append(text[at : at + size])
        at, turn = at + size, turn + 1
    return growing


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_cut_gives_the_page_of_the_whole(name: str) -> None:
    text = DOCUMENTS[name]
    whole = render(text)
    for size in range(1, 65):
        page = grown(text, [size]).finish()
        assert page.plain == whole.plain, size
        assert picture(page, 60) == picture(whole, 60), size


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "definitions"])
def test_the_page_is_right_at_every_moment_and_not_only_at_the_end(name: str) -> None:
    text = DOCUMENTS[name][:700]
    growing = GrowingPage()
    for at, char in enumerate(text):
        growing.append(char)
        so_far = text[: at + 1].removesuffix("\r")
        assert growing.page.plain == render(so_far).plain, so_far[-80:]


@given(
    st.text(alphabet="-*+>#`~|:1.2) \n\t_[]x!&;\\<a\u0301\u200d\u202e\x1b\r", max_size=120),
    st.lists(st.integers(1, 9), min_size=1),
)
@settings(max_examples=400, deadline=None)
@example("- a\n- b\n--", [1])
@example("1. a\n\n\n2. b\n```", [3])
def test_any_text_grows_into_the_page_of_the_whole(text: str, sizes: list[int]) -> None:
    page, whole = grown(text, sizes).finish(), render(text)
    assert page.plain == whole.plain
    assert picture(page, 20) == picture(whole, 20)


@given(st.lists(st.sampled_from(sorted(DOCUMENTS.values(), key=len)[:-2]), max_size=4), st.integers(1, 64), st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_documents_in_a_row(parts: list[str], one: int, two: int) -> None:
    text = "\n\n".join(parts)
    page, whole = grown(text, [one, two]).finish(), render(text)
    assert picture(page, 40) == picture(whole, 40)


FRAGMENTS = [
    "- ",
    "* ",
    "+ ",
    "1. ",
    "2) ",
    "10. ",
    "> ",
    "# ",
    "```",
    "```py\n",
    "~~~",
    "\n",
    "\n\n",
    "  ",
    "    ",
    "   ",
    "\t",
    "a",
    "word ",
    "**",
    "*",
    "`",
    "---",
    "===",
    "[a]",
    "[a]: x\n",
    "<b>",
    "\r\n",
    "\\",
    "漢",
]


@given(st.lists(st.sampled_from([*FRAGMENTS, "|", "|---|---|\n", "| a | b |\n"]), max_size=40), st.integers(1, 8))
@settings(max_examples=300, deadline=None)
@example(["+ ---\n~~~||---|---|\n+ |a```py\n|---|---|\n\nword"], 1)
@example(["> \n\n2) a\n2) b\n"], 3)
@example(["a\n|a\n|- ==="], 1)
def test_pieces_of_markdown_in_any_order(fragments: list[str], size: int) -> None:
    text = "".join(fragments)
    page, whole = grown(text, [size]).finish(), render(text)
    assert picture(page, 20) == picture(whole, 20)


LONG = {
    "code": "```python\n" + "def f(x):\n    return [i for i in range(x)]\n\n" * 700,
    "list": "".join(f"{n}. item with **bold** and `code`\n   - and a nested one\n" for n in range(1, 700)),
    "table": "| a | b | c |\n|---|---|---|\n" + "| one | **two** | `three` |\n" * 1500,
    "paragraphs": "Some *words* in a paragraph that goes on for a while.\n\n" * 1000,
}


@pytest.mark.parametrize("name", LONG)
def test_adding_to_a_long_text_costs_little(name: str) -> None:
    growing = GrowingPage()
    for line in LONG[name].splitlines(keepends=True):
        growing.append(line)
        growing.page.height(80)
    began = time.process_time()
    for _ in range(20):
        growing.append("x ")
        growing.page.height(80)
    assert (time.process_time() - began) / 20 < 0.012
