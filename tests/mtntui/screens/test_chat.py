"""What a person can rely on while chatting."""

import asyncio
import os
import signal

import pytest

from engine.inference.types import Waiting
from mtntui.screens.chat.live_reply import LiveReply
from mtntui.widgets.message import AssistantMessage, UserMessage
from mtntui.widgets.notice import Notice

from .chat_app import NARROW, add_conversation, chat_app, live_text, send, settings_for, toasts, type_text, until


async def test_a_message_is_stored_and_its_reply_becomes_one_finished_widget(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        await send(pilot, screen, "Hello there")
        user, reply = screen.services.conversations.messages(screen.desk.conversation.id)
        assert (user.content, reply.status, reply.completion_tokens) == ("Hello there", "cut", 24)
        assert [message.text for message in screen.query(UserMessage)] == ["Hello there"]
        assert [message.text for message in screen.query(AssistantMessage)] == [reply.content]
        assert screen.transcript.follows and screen.prompt.text == ""
        assert screen.status.status.tokens_per_second and not screen.status.status.busy
        assert screen.list.titles.get_option(user.conversation).prompt.plain == "Hello there"


async def test_escape_stops_a_reply_and_keeps_it(long_home):
    async with chat_app(settings_for(long_home, max_new_tokens=16000)) as (pilot, screen):
        await send(pilot, screen, "Go on", wait=False)
        await until(pilot, lambda: bool(live_text(screen)))
        await pilot.press("escape")
        await until(pilot, lambda: screen.replying.reply is None)
        reply = screen.services.conversations.messages(screen.desk.conversation.id)[-1]
        assert reply.status == "stopped" and reply.content
        assert screen.query_one(AssistantMessage).status == "stopped"


async def test_ctrl_c_stops_a_reply_and_twice_quits(long_home):
    async with chat_app(settings_for(long_home, max_new_tokens=16000)) as (pilot, screen):
        await send(pilot, screen, "Go on", wait=False)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: screen.replying.reply is None)
        assert pilot.app.return_value is None
        await pilot.press("ctrl+c")
        assert "again to quit" in toasts(pilot)
        await pilot.press("ctrl+c")
        assert pilot.app.return_value == 0


async def test_text_typed_during_a_reply_stays_in_the_prompt(long_home):
    async with chat_app(settings_for(long_home, max_new_tokens=16000)) as (pilot, screen):
        await send(pilot, screen, "Go on", wait=False)
        await type_text(pilot, "next")
        await pilot.press("enter")
        assert screen.prompt.text == "next"
        await pilot.press("escape")
        await until(pilot, lambda: screen.replying.reply is None)
        assert screen.prompt.text == "next"


async def test_a_reply_goes_on_while_another_conversation_is_open(long_home):
    async with chat_app(settings_for(long_home, max_new_tokens=16000)) as (pilot, screen):
        await send(pilot, screen, "Long one", wait=False)
        first, reply = screen.desk.conversation.id, screen.replying.reply
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.desk.conversation is None)
        assert screen.replying.reply is None
        await screen.desk.open(first)
        await until(pilot, lambda: screen.replying.reply == reply and bool(live_text(screen)))
        seen = live_text(screen)
        await pilot.press("escape")
        await until(pilot, lambda: bool(screen.query(AssistantMessage)))
        stored = screen.services.conversations.message(reply)
        assert stored.status == "stopped" and stored.content.startswith(seen)
        assert screen.query_one(AssistantMessage).text == stored.content


async def test_a_program_that_comes_back_joins_the_reply(long_home):
    settings = settings_for(long_home, max_new_tokens=16000)
    async with chat_app(settings) as (pilot, screen):
        await send(pilot, screen, "Long one", wait=False)
        reply = screen.replying.reply
        async with chat_app(settings) as (other_pilot, other):
            await until(other_pilot, lambda: bool(live_text(other)))
            await other_pilot.press("escape")
            await until(other_pilot, lambda: bool(other.query(AssistantMessage)))
            await until(pilot, lambda: bool(screen.query(AssistantMessage)))
            stored = other.services.conversations.message(reply)
            assert stored.status == "stopped"
            assert screen.query_one(AssistantMessage).text == other.query_one(AssistantMessage).text == stored.content


async def test_a_host_that_dies_leaves_what_there_was_and_f5_asks_again(long_home):
    async with chat_app(settings_for(long_home, max_new_tokens=16000)) as (pilot, screen):
        await send(pilot, screen, "Hello", wait=False)
        await until(pilot, lambda: bool(live_text(screen)))
        status = await screen.services.client.status()
        os.kill(status.pid, signal.SIGKILL)
        await until(pilot, lambda: screen.replying.reply is None)
        broken = screen.services.conversations.messages(screen.desk.conversation.id)[-1]
        assert broken.status == "interrupted" and broken.content
        await until(pilot, lambda: bool(screen.query(AssistantMessage)) and bool(screen.query(Notice)))
        assert screen.query_one(AssistantMessage).status == "interrupted"
        await pilot.press("f5")
        await until(pilot, lambda: screen.replying.reply is not None)
        await pilot.press("escape")
        await until(pilot, lambda: screen.replying.reply is None)
        user, again = screen.services.conversations.messages(screen.desk.conversation.id)
        assert (user.content, again.status) == ("Hello", "stopped")
        assert len(screen.transcript.turns) == 2


async def test_a_message_that_is_too_long_comes_back_into_the_prompt(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        screen.prompt.put("word " * 900)
        await pilot.press("enter")
        await until(pilot, lambda: bool(screen.query(AssistantMessage)))
        assert screen.prompt.pastes.expand(screen.prompt.text) == "word " * 900
        assert screen.query_one(AssistantMessage).status == "failed"


async def test_messages_that_no_longer_fit_are_announced(model_home):
    database_settings = settings_for(model_home)
    async with chat_app(database_settings) as (pilot, screen):
        old = add_conversation(screen.services.database, *["many words " * 40, "and an answer " * 30] * 3)
        await screen.desk.open(old.id)
        await send(pilot, screen, "And now?")
        notices = [notice.message for notice in screen.query(Notice)]
        assert any("no longer fit" in message and "left out" in message for message in notices)


async def test_each_conversation_keeps_its_draft(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        one = add_conversation(screen.services.database, "one", "1")
        two = add_conversation(screen.services.database, "two", "2")
        await screen.desk.open(one.id)
        await type_text(pilot, "for one")
        await screen.desk.open(two.id)
        assert screen.prompt.text == ""
        await type_text(pilot, "for two")
        await screen.desk.open(one.id)
        assert screen.prompt.text == "for one"
        await screen.desk.open_new()
        await screen.desk.open(two.id)
        assert screen.prompt.text == "for two"


async def test_a_reply_that_nobody_writes_any_more_is_shown_as_interrupted(model_home):
    async with chat_app(settings_for(model_home)) as (_, screen):
        conversation = add_conversation(screen.services.database, "Hello")
        reply = screen.services.conversations.start_reply(conversation.id, parent=conversation.head, model="tiny", parameters={})
        screen.services.conversations.grow_reply(reply.id, "half an ans")
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        await until(pilot, lambda: bool(screen.query(AssistantMessage)))
        message = screen.query_one(AssistantMessage)
        assert (message.status, message.text) == ("interrupted", "half an ans")


async def test_the_list_follows_what_another_program_writes(model_home):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        from engine.store.database import Database

        other = Database(screen.services.database.path)
        made = add_conversation(other, "From elsewhere", "Yes")
        other.close()
        await until(pilot, lambda: made.id in [option.id for option in screen.list.titles.options], 5)


async def test_hostile_text_is_only_shown(model_home):
    hostile = "x [/foo] [@click=app.exit]y[/] \x1b]52;c;AAAA\x07 \u202eabc [bold"
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        evil = add_conversation(screen.services.database, hostile, hostile, model=hostile, title=hostile)
        await screen.desk.open(evil.id)
        await screen.desk.fill_list()
        screen.status.set(model=hostile, state=hostile)
        pilot.app.say(hostile)
        await pilot.press("ctrl+o")
        await pilot.pause(0.1)
        drawn = pilot.app.export_screenshot()
        assert "\x1b" not in drawn and "\u202e" not in drawn
        assert pilot.app.return_value is None


async def test_any_size_of_terminal_is_survived(model_home):
    async with chat_app(settings_for(model_home), size=NARROW) as (pilot, screen):
        for size in ((40, 10), (20, 3), (1, 1), (60, 15), (200, 50), (59, 40), (100, 14), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            small = size[0] < 60 or size[1] < 15
            assert screen.query_one("TooSmall").display is small, size
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [NARROW, (60, 15), (40, 10), (200, 50)])
async def test_why_a_reply_cannot_be_saved_is_a_whole_sentence(model_home, size):
    sentence = (
        "saving the reply: The disk that holds /home/someone/.local/share/mtntui/mtntui.db is full."
        " Free some space; nothing that was saved is lost."
    )
    async with chat_app(settings_for(model_home), size=size) as (pilot, screen):
        made = add_conversation(screen.services.database, "Hello", "word " * 400)
        await screen.desk.open(made.id)
        live = LiveReply(1, screen.transcript.turns[-1], screen.transcript, screen.status)
        await live.take(Waiting(sentence))
        await pilot.pause()
        rows = [strip.text for strip in screen._compositor.render_strips()]
        assert sentence.replace(" ", "") in "".join("".join(row.split()) for row in rows), rows
        await live.take(Waiting(""))
        await pilot.pause()
        rows = [strip.text for strip in screen._compositor.render_strips()]
        assert not any("disk" in row for row in rows)
        assert screen.status.size.height == 1
