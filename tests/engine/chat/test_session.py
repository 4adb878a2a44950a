"""What a chat stores and what it tells the model. Streaming itself is tested with a real host in tests/engine/inference."""

import pytest

from engine.chat.session import Chat, parameters_from, prompt_messages
from engine.errors import StorageError
from engine.inference.client import HostClient
from engine.inference.types import Message, SamplingParameters
from engine.settings import ChatSettings, Settings
from engine.store.database import Database, now

PARAMETERS = SamplingParameters(temperature=0, seed=3, stop=("END",))


@pytest.fixture
def settings(tmp_path):
    return Settings(home=str(tmp_path / "home"))


@pytest.fixture
def database(settings):
    database = Database(settings.workspace.prepare().database)
    yield database
    database.close()


@pytest.fixture
def chat(settings, database):
    return Chat(database, HostClient(settings))


@pytest.fixture
def conversation(chat):
    return chat.conversations.create(model="m", system="Be kind.").id


def exchange(chat, conversation, text, reply, status="complete"):
    made = chat.send(conversation, text, model="m", parameters=PARAMETERS)
    chat.conversations.finish_reply(made.reply.id, reply, status, error="why" if status == "failed" else "")
    return made


def told(chat, conversation, text="last"):
    made = chat.send(conversation, text, model="m", parameters=PARAMETERS)
    return prompt_messages("Be kind.", chat.conversations.messages(conversation, before=made.reply.id))


def test_sending_stores_the_message_and_a_row_for_the_reply_with_its_parameters(chat, conversation):
    made = chat.send(conversation, "Hello", model="m", parameters=PARAMETERS)
    user, reply = chat.conversations.messages(conversation)
    assert (user.content, user.status, reply.status, reply.parent) == ("Hello", "complete", "streaming", user.id)
    assert SamplingParameters.from_dict(reply.parameters) == PARAMETERS
    assert made.reply == reply
    assert chat.conversations.get(conversation).title == "Hello"


def test_a_disk_that_fills_between_message_and_reply_keeps_neither(chat, conversation, database):
    pages = database.query("PRAGMA page_count")[0][0]
    database.query(f"PRAGMA max_page_count = {pages + 4}")
    # The message fits; the reply's row, which holds the parameters, does not.
    large = SamplingParameters(stop=("x" * 100_000,))
    with pytest.raises(StorageError, match="full"):
        chat.send(conversation, "Hello", model="m", parameters=large)
    database.query("PRAGMA max_page_count = 1000000")
    assert chat.conversations.messages(conversation) == []
    stored = chat.conversations.get(conversation)
    assert (stored.head, stored.title) == (None, "")
    made = chat.send(conversation, "Hello", model="m", parameters=PARAMETERS)
    assert [message.id for message in chat.conversations.messages(conversation)] == [made.user.id, made.reply.id]


def test_the_model_is_told_the_system_prompt_and_the_whole_branch(chat, conversation):
    exchange(chat, conversation, "one", "first")
    exchange(chat, conversation, "two", "half of it", "stopped")
    assert told(chat, conversation) == [
        Message("system", "Be kind."),
        Message("user", "one"),
        Message("assistant", "first"),
        Message("user", "two"),
        Message("assistant", "half of it"),
        Message("user", "last"),
    ]


def test_a_message_that_failed_without_a_reply_is_left_out(chat, conversation):
    exchange(chat, conversation, "far too long", "", "failed")
    assert [message.content for message in told(chat, conversation)] == ["Be kind.", "last"]


def test_messages_without_a_reply_between_them_become_one_turn(chat, conversation):
    exchange(chat, conversation, "one", "", "stopped")
    assert [message.content for message in told(chat, conversation)] == ["Be kind.", "one\n\nlast"]


def test_another_reply_is_a_branch_and_the_first_one_stays(chat, conversation):
    first = exchange(chat, conversation, "question", "first answer")
    second = chat.retry(first.reply.id, model="other", parameters=PARAMETERS)
    assert second.reply.parent == first.user.id
    shown = [message.id for message in chat.conversations.messages(conversation)]
    assert shown == [first.user.id, second.reply.id]
    assert chat.conversations.message(first.reply.id).content == "first answer"
    again = prompt_messages("", chat.conversations.messages(conversation, before=second.reply.id))
    assert again == [Message("user", "question")]


async def test_settling_without_a_host_marks_what_nobody_writes(chat, conversation, database):
    made = chat.send(conversation, "Hello", model="m", parameters=PARAMETERS)
    chat.conversations.grow_reply(made.reply.id, "part of a zebra")
    assert await chat.settle() == 0, "it was begun a moment ago: a host may be starting for it"
    with database.transaction() as connection:
        connection.execute("UPDATE messages SET created_at = ?", (now(ago=60),))
    assert await chat.settle() == 1
    stored = chat.conversations.message(made.reply.id)
    assert (stored.status, stored.content) == ("interrupted", "part of a zebra")
    assert [found.id for found in chat.conversations.browse("zebra")] == [conversation], "what there is of it can be found"
    assert await chat.settle() == 0


def test_settings_become_parameters():
    settings = ChatSettings(max_new_tokens=7, temperature=0.1, top_p=0.2, top_k=3, repetition_penalty=1.3)
    assert parameters_from(settings) == SamplingParameters(
        max_new_tokens=7, temperature=0.1, top_p=0.2, top_k=3, repetition_penalty=1.3
    )
