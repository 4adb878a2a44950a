"""Rating, correcting and copying replies."""

import pytest
from textual.events import Paste
from textual.widgets import TextArea

from mtntui.screens.correction import CorrectionScreen
from mtntui.widgets.message import AssistantMessage

from .chat_app import add_conversation, chat_app, settings_for, toasts, type_text, until


@pytest.fixture
async def opened(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        made = add_conversation(screen.services.database, "One?", "First reply", "Two?", "Second reply")
        await screen.desk.open(made.id)
        yield pilot, screen, made.id


def ratings(screen, conversation):
    return [(m.rating, m.correction) for m in screen.services.conversations.messages(conversation) if m.role == "assistant"]


async def test_keys_rate_the_last_reply_and_the_same_key_takes_it_back(opened):
    pilot, screen, conversation = opened
    await pilot.press("f6")
    await until(pilot, lambda: ratings(screen, conversation) == [(None, None), ("good", None)])
    assert screen.query(AssistantMessage).last().rating == "good"
    await pilot.press("f7")
    await until(pilot, lambda: ratings(screen, conversation)[1] == ("bad", None))
    await pilot.press("f7")
    await until(pilot, lambda: ratings(screen, conversation)[1] == (None, None))


async def test_letters_rate_the_selected_reply(opened):
    pilot, screen, conversation = opened
    await pilot.press("ctrl+up", "ctrl+up", "ctrl+up", "b")
    await until(pilot, lambda: ratings(screen, conversation) == [("bad", None), (None, None)])
    await pilot.press("x")
    await until(pilot, lambda: ratings(screen, conversation) == [(None, None), (None, None)])
    await pilot.press("escape")
    assert screen.prompt.has_focus


async def test_ones_own_message_cannot_be_rated(opened):
    pilot, screen, conversation = opened
    await pilot.press("ctrl+up", "ctrl+up", "g")
    await until(pilot, lambda: "select a reply" in toasts(pilot))
    assert ratings(screen, conversation) == [(None, None), (None, None)]


async def test_a_correction_begins_with_the_reply_and_is_kept(opened):
    pilot, screen, conversation = opened
    await pilot.press("f8")
    await until(pilot, lambda: isinstance(pilot.app.screen, CorrectionScreen))
    await type_text(pilot, "Better ")
    await pilot.press("f10")
    await until(pilot, lambda: ratings(screen, conversation)[1] == ("bad", "Better Second reply"))
    assert screen.query(AssistantMessage).last().rating == "corrected"


ODD = "one\u2028two\x85three\x0cfour\x1dfive\r\nsix\rseven\n"


async def test_a_correction_is_kept_to_the_character(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        made = add_conversation(screen.services.database, "One?", ODD)
        await screen.desk.open(made.id)
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(pilot.app.screen, CorrectionScreen))
        editor = pilot.app.screen.query_one(TextArea)
        await pilot.press("x")
        editor.move_cursor(editor.document.end)
        await pilot.press("y", "enter", "z")
        pilot.app.post_message(Paste("a\rb\u2029c\r\nd\ne"))
        await pilot.pause()
        await pilot.press("home", "backspace", "f10")
        await until(pilot, lambda: ratings(screen, made.id)[0][1] is not None)
        assert ratings(screen, made.id) == [("bad", "x" + ODD + "y\nza\nb\u2029c\nde")]


async def test_leaving_the_editor_records_nothing(opened):
    pilot, screen, conversation = opened
    await pilot.press("f8")
    await until(pilot, lambda: isinstance(pilot.app.screen, CorrectionScreen))
    await type_text(pilot, "never mind")
    await pilot.press("escape")
    await until(pilot, lambda: pilot.app.screen is screen)
    assert ratings(screen, conversation) == [(None, None), (None, None)]


async def test_an_empty_correction_is_refused(opened):
    pilot, screen, conversation = opened
    await pilot.press("f8")
    await until(pilot, lambda: isinstance(pilot.app.screen, CorrectionScreen))
    pilot.app.screen.query_one("TextArea").text = "  \n"
    await pilot.press("f10")
    assert isinstance(pilot.app.screen, CorrectionScreen)
    assert "cannot be empty" in str(pilot.app.screen.query_one("#hint").render())
    assert ratings(screen, conversation) == [(None, None), (None, None)]


async def test_copying_says_what_was_done(opened):
    pilot, _, _ = opened
    await pilot.press("f9")
    await until(pilot, lambda: "terminal's clipboard" in toasts(pilot))
    assert pilot.app.clipboard == "Second reply"
    await pilot.press("ctrl+up", "ctrl+up", "y")
    await until(pilot, lambda: pilot.app.clipboard == "Two?")


@pytest.mark.parametrize("key", ["f5", "f6", "f7", "f8", "f9"])
async def test_keys_act_on_the_last_reply_though_the_reader_is_far_above_it(model_home, key):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        texts = [f"Message {number}" + " and some more words" * 20 for number in range(120)]
        made = add_conversation(screen.services.database, *texts)
        await screen.desk.open(made.id)
        transcript = screen.transcript
        await until(pilot, lambda: transcript.max_scroll_y > 0 and transcript.follows)
        while transcript.window.more_above:
            transcript.scroll_to(y=max(0, transcript.scroll_y - 20), animate=False)
            await pilot.pause(0.02)
            await until(pilot, lambda: not transcript.paging)
        assert transcript.window.more_below
        await pilot.press(key)
        await until(pilot, lambda: not transcript.window.more_below)
        store = screen.services.conversations
        match key:
            case "f5":
                await until(pilot, lambda: store.get(made.id).head != made.head)
                new = store.message(store.get(made.id).head)
                assert new.parent == store.message(made.head).parent
                await until(pilot, lambda: screen.replying.reply is None and not screen.replying.busy)
            case "f6" | "f7":
                wanted = "good" if key == "f6" else "bad"
                await until(pilot, lambda: ratings(screen, made.id)[-1] == (wanted, None))
                assert all(opinion == (None, None) for opinion in ratings(screen, made.id)[:-1])
            case "f8":
                await until(pilot, lambda: isinstance(pilot.app.screen, CorrectionScreen))
                assert pilot.app.screen.query_one(TextArea).text == texts[-1]
            case "f9":
                await until(pilot, lambda: pilot.app.clipboard == texts[-1])
