"""Messages in a running app: what they show, what is copied from them, how they stream."""

import asyncio
import time

import pytest
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.geometry import Offset
from textual.widgets import Static

from mtntui.widgets.finished_markdown import render
from mtntui.widgets.message import AssistantMessage, StreamingMessage, UserMessage
from mtntui.widgets.page_view import PageView
from mtntui.widgets.streaming_markdown import StreamingMarkdown

REPLY = """# Title

Some **bold** words that go on for long enough to be wrapped at forty cells.

- item one
- item two

```python
def f():
\treturn 1
```

| a | b |
|---|--:|
| x | 22 |
"""


class OneWidget(App[None]):
    """Shows one widget in a scrolling place."""

    CSS = "VerticalScroll { scrollbar-size: 0 0; }"

    def __init__(self, *widgets: PageView | Static) -> None:
        super().__init__()
        self.widgets = widgets

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield from self.widgets

    def lines(self) -> list[str]:
        """What stands on the screen."""
        return ["".join(segment.text for segment in strip).rstrip() for strip in self.screen._compositor.render_strips()]


async def test_a_message_shows_its_model_rating_and_status() -> None:
    message = AssistantMessage(7, "hello", model="smollm2", status="interrupted", rating="good")
    app = OneWidget(UserMessage(6, "[b]hi[/b] *there*\n\n  x"), message)
    async with app.run_test(size=(80, 20)) as pilot:
        shown = "\n".join(app.lines())
        assert "You" in shown
        assert "[b]hi[/b] *there*" in shown
        assert "smollm2  ·  good" in shown
        assert "interrupted: the program ended before the reply was complete" in shown
        message.update_status("complete")
        message.update_rating("corrected")
        await pilot.pause()
        shown = "\n".join(app.lines())
        assert "interrupted" not in shown
        assert "bad, corrected" in shown
        assert message.text == "hello"


@pytest.mark.parametrize("width", [12, 40, 80])
async def test_rows_keep_inside_the_width(width: int) -> None:
    message = AssistantMessage(1, REPLY * 2, model="a-model-with-a-long-name", status="failed", detail="no " * 40)
    app = OneWidget(message)
    async with app.run_test(size=(width, 30)):
        for y in range(message.size.height):
            assert message.render_line(y).cell_length == message.size.width


async def drag(app: App[None], start: tuple[int, int], end: tuple[int, int]) -> str | None:
    async with app.run_test(size=(44, 30)) as pilot:
        await pilot.pause()
        await pilot.mouse_down(offset=Offset(*start))
        await pilot.hover(offset=Offset(*end))
        await pilot.mouse_up(offset=Offset(*end))
        await pilot.pause()
        return app.screen.get_selected_text()


async def test_the_mouse_selects_words_over_wrapped_rows() -> None:
    message = AssistantMessage(1, "Some **bold** words that go on for long enough to be wrapped.", model="m")
    assert await drag(OneWidget(message), (7, 1), (6, 2)) == "bold words that go on for long enoug"


async def test_the_mouse_copies_code_with_its_tab_and_without_its_margin() -> None:
    message = AssistantMessage(1, "```python\ndef f():\n\treturn 1\n```", model="m")
    assert await drag(OneWidget(message), (3, 2), (15, 3)) == "def f():\n\treturn 1"


async def test_everything_selected_is_the_plain_text() -> None:
    message = AssistantMessage(1, REPLY, model="m", status="stopped")
    app = OneWidget(message)
    async with app.run_test(size=(44, 40)) as pilot:
        message.text_select_all()
        await pilot.pause()
        assert app.screen.get_selected_text() == render(REPLY).plain


async def test_a_page_can_be_shown_by_a_static_too() -> None:
    static = Static(render(REPLY))
    app = OneWidget(static)
    async with app.run_test(size=(44, 40)) as pilot:
        await pilot.pause()
        shown = "\n".join(app.lines())
        assert "• item two" in shown
        assert static.size.height == render(REPLY).height(44)


async def test_a_reply_that_streamed_does_not_move_when_it_is_finished() -> None:
    streaming = StreamingMessage(1, model="smollm2", rate=100)
    app = OneWidget(streaming)
    async with app.run_test(size=(44, 40)) as pilot:
        for char in REPLY:
            streaming.append_text(char)
            await asyncio.sleep(0)
        streaming.finish()
        await pilot.pause()
        before = app.lines()
        await streaming.remove()
        await app.query_one(VerticalScroll).mount(AssistantMessage(1, REPLY, model="smollm2"))
        await pilot.pause()
        assert app.lines() == before
        assert any("def f():" in line for line in before)


async def test_what_is_appended_is_seen_within_a_tenth_of_a_second() -> None:
    streaming = StreamingMarkdown()
    app = OneWidget(streaming)
    async with app.run_test(size=(60, 10)):
        for count in range(10):
            streaming.append_text(f"word{count} ")
            began = time.monotonic()
            while f"word{count}" not in "".join(app.lines()):
                await asyncio.sleep(0.005)
                assert time.monotonic() - began < 1
            # 1/12 s of gathering and a frame, with room for a busy machine
            assert time.monotonic() - began < 0.2


async def test_text_appended_before_mounting_is_shown() -> None:
    streaming = StreamingMarkdown()
    streaming.append_text("early")
    app = OneWidget(streaming)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        assert "early" in "".join(app.lines())


async def test_held_text_waits_and_comes_on_release() -> None:
    streaming = StreamingMarkdown(rate=100)
    app = OneWidget(streaming)
    async with app.run_test(size=(60, 10)) as pilot:
        streaming.append_text("one ")
        await pilot.pause(0.05)
        streaming.hold()
        streaming.append_text("two\n")
        await pilot.pause(0.1)
        assert "two" not in "".join(app.lines())
        assert streaming.text == "one two\n"
        streaming.release()
        await pilot.pause()
        assert "one two" in "".join(app.lines())


async def test_finish_shows_what_is_held_and_ends_it() -> None:
    streaming = StreamingMarkdown(rate=1)
    app = OneWidget(streaming)
    async with app.run_test(size=(60, 10)) as pilot:
        streaming.append_text("a")
        streaming.hold()
        streaming.append_text(" [b]\n\n[b]: http://b.example")
        streaming.finish()
        await pilot.pause()
        assert "a b (http://b.example)" in "".join(app.lines())
        with pytest.raises(RuntimeError):
            streaming.append_text("more")


async def test_a_slow_line_gets_few_updates() -> None:
    streaming = StreamingMarkdown(rate=4)
    app = OneWidget(streaming)
    shown: set[str] = set()
    async with app.run_test(size=(60, 10)):
        for count in range(100):
            streaming.append_text(f"{count}\n\n")
            await asyncio.sleep(0.01)
            shown.add(streaming.page.plain)
    assert 3 <= len(shown) <= 6
