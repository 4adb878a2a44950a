"""Conversations: what is stored, which branch is shown, ratings, and search."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import InvalidInputError, NotFoundError
from engine.store.conversations import Conversations, StoredMessage
from engine.store.database import Database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Conversations]:
    database = Database(tmp_path / "mtntui.db")
    yield Conversations(database)
    database.close()


def exchange(store: Conversations, conversation: str, question: str, answer: str) -> tuple[StoredMessage, StoredMessage]:
    user = store.add_user_message(conversation, question)
    reply = store.start_reply(conversation, parent=user.id, model="tiny", parameters={"seed": 3, "stop": ["x"]})
    store.finish_reply(reply.id, answer, "complete", completion_tokens=4, tokens_per_second=12.5)
    return user, store.message(reply.id)


def test_a_conversation_takes_its_title_from_the_first_line(store: Conversations) -> None:
    identifier = store.create().id
    store.add_user_message(identifier, "\n  How do\tsoap bubbles work?\nIn detail, please.")
    store.add_user_message(identifier, "Something else")
    assert store.get(identifier).title == "How do\tsoap bubbles work?"
    assert len(store.get(identifier).title) <= 80


def test_a_users_title_stays(store: Conversations) -> None:
    identifier = store.create().id
    store.rename(identifier, "  Mine  ")
    store.add_user_message(identifier, "Other words")
    found = store.get(identifier)
    assert (found.title, found.titled_by) == ("Mine", "user")
    with pytest.raises(InvalidInputError):
        store.rename(identifier, " \n")


def test_a_reply_grows_and_ends(store: Conversations) -> None:
    identifier = store.create(model="other").id
    user = store.add_user_message(identifier, "Hi")
    reply = store.start_reply(identifier, parent=user.id, model="tiny", parameters={"temperature": 0.5})
    assert (reply.status, reply.content, reply.parent, reply.parameters) == ("streaming", "", user.id, {"temperature": 0.5})
    store.grow_reply(reply.id, "Hel")
    assert store.message(reply.id).content == "Hel"
    store.finish_reply(reply.id, "Hello", "stopped", prompt_tokens=3, completion_tokens=2, first_token_ms=9.5)
    ended = store.message(reply.id)
    assert (ended.content, ended.status, ended.prompt_tokens, ended.first_token_ms) == ("Hello", "stopped", 3, 9.5)
    assert ended.completed_at is not None
    store.grow_reply(reply.id, "late")
    store.finish_reply(reply.id, "later", "complete")
    assert store.message(reply.id).content == "Hello", "a reply ends once"
    assert store.get(identifier).model == "tiny"


def test_the_branch_of_the_head_is_shown(store: Conversations) -> None:
    identifier = store.create().id
    first, reply = exchange(store, identifier, "one", "1")
    exchange(store, identifier, "two", "2")
    other = store.add_user_message(identifier, "two, said otherwise", parent=reply.id)
    assert [message.content for message in store.messages(identifier)] == ["one", "1", "two, said otherwise"]
    assert store.get(identifier).head == other.id
    assert store.get(identifier).messages == 5
    assert first.parent is None


def test_messages_come_in_pages(store: Conversations) -> None:
    identifier = store.create().id
    for number in range(20):
        store.add_user_message(identifier, str(number))
    page = store.messages(identifier, limit=5)
    assert [message.content for message in page] == ["15", "16", "17", "18", "19"]
    earlier = store.messages(identifier, before=page[0].id, limit=5)
    assert [message.content for message in earlier] == ["10", "11", "12", "13", "14"]
    first = store.messages(identifier)[0]
    assert store.messages(identifier, before=first.id) == []


def test_an_id_may_be_shortened_while_it_is_clear(store: Conversations) -> None:
    identifiers = [store.create().id for _ in range(40)]
    assert store.get(identifiers[0]).id == identifiers[0]
    prefix = next(letter for letter in "0123456789abcdef" if sum(found.startswith(letter) for found in identifiers) > 1)
    with pytest.raises(NotFoundError, match="More than one"):
        store.get(prefix)
    for wrong in ("", "zz", "%", "_"):
        with pytest.raises(NotFoundError):
            store.get(wrong)


def test_replies_that_nobody_writes_are_marked(store: Conversations) -> None:
    identifier = store.create().id
    user = store.add_user_message(identifier, "Hi")
    dead, alive = (store.start_reply(identifier, parent=user.id, model="m", parameters={}).id for _ in range(2))
    store.grow_reply(dead, "partial words")
    assert store.mark_interrupted((alive,)) == 1
    assert (store.message(dead).status, store.message(dead).content) == ("interrupted", "partial words")
    assert store.message(alive).status == "streaming"
    assert [found.id for found in store.browse("partial")] == [identifier]


def test_a_rating_can_be_given_changed_and_taken_back(store: Conversations) -> None:
    identifier = store.create().id
    user, reply = exchange(store, identifier, "q", "a")
    rated = store.rate(reply.id, "bad", correction="better")
    assert (rated.rating, rated.correction) == ("bad", "better")
    assert store.rate(reply.id, "bad").correction == "better"
    assert store.rate(reply.id, "good").correction is None
    taken = store.rate(reply.id, None)
    assert (taken.rating, taken.correction, taken.rated_at) == (None, None, None)
    for wrong in (lambda: store.rate(user.id, "good"), lambda: store.rate(reply.id, "bad", correction=" ")):
        with pytest.raises(InvalidInputError):
            wrong()
    growing = store.start_reply(identifier, parent=user.id, model="m", parameters={})
    with pytest.raises(InvalidInputError):
        store.rate(growing.id, "good")


def test_a_deleted_conversation_is_gone_until_it_is_restored(store: Conversations) -> None:
    identifier = store.create(title="Once").id
    exchange(store, identifier, "needle", "hay")
    store.delete(identifier)
    assert store.browse() == [] and store.browse("needle") == []
    with pytest.raises(NotFoundError):
        store.get(identifier)
    store.restore(identifier)
    assert [found.id for found in store.browse("needle")] == [identifier]


def test_search_finds_words_prefixes_accents_and_phrases(store: Conversations) -> None:
    identifier = store.create().id
    exchange(store, identifier, "Tell me about Zürich", "A naïve answer: the old town, the lake")
    for query in ("zurich", "NAIVE", "zür", "old lak", '"old town"'):
        assert [found.id for found in store.browse(query)] == [identifier], query
    for query in ('"town old"', "lake-house", "xyz"):
        assert store.browse(query) == [], query
    assert "\x02old\x03" in store.browse("old")[0].snippet


def test_an_edited_text_is_found_anew(store: Conversations) -> None:
    identifier = store.create(title="x").id
    user = store.add_user_message(identifier, "before")
    reply = store.start_reply(identifier, parent=user.id, model="m", parameters={})
    store.grow_reply(reply.id, "growing")
    assert store.browse("growing") == [], "a reply is indexed when it is whole"
    store.finish_reply(reply.id, "grown", "complete")
    assert len(store.browse("grown")) == 1 and store.browse("growing") == []


@pytest.mark.parametrize("text", ["a\0b", "\ud800 half", "\U0001f642" * 3, "\x1b[31m", "x" * 1_000_000])
def test_any_text_comes_back(store: Conversations, text: str) -> None:
    identifier = store.create().id
    stored = store.add_user_message(identifier, text)
    assert stored.content == text.encode("utf-8", "replace").decode()


def test_the_list_is_paged_and_the_last_used_comes_first(store: Conversations) -> None:
    import time

    identifiers = []
    for number in range(5):
        identifiers.append(store.create(title=str(number)).id)
        time.sleep(0.003)
    store.add_user_message(identifiers[0], "newest")
    assert [found.title for found in store.browse(limit=2)] == ["0", "4"]
    assert [found.title for found in store.browse(limit=2, offset=3)] == ["2", "1"]


def test_a_reply_taken_for_interrupted_by_another_terminal_is_still_stored_and_found_once(store: Conversations) -> None:
    identifier = store.create().id
    user = store.add_user_message(identifier, "Hi")
    reply = store.start_reply(identifier, parent=user.id, model="tiny", parameters={})
    store.claim_reply(reply.id)
    assert store.mark_interrupted() == 1, "the other terminal asked the host a moment before the reply was claimed"
    store.grow_reply(reply.id, "zebra")
    assert (store.message(reply.id).status, store.message(reply.id).content) == ("streaming", "zebra")
    assert store.browse("zebra") == []
    store.mark_interrupted()
    store.finish_reply(reply.id, "zebra crossing", "complete")
    assert (store.message(reply.id).status, store.message(reply.id).content) == ("complete", "zebra crossing")
    assert [found.id for found in store.browse("crossing")] == [identifier]
    store.grow_reply(reply.id, "late")
    assert store.message(reply.id).content == "zebra crossing"


def test_an_odd_search_or_number_is_answered_not_blamed_on_the_database(store: Conversations) -> None:
    exchange(store, store.create().id, "Hi", "Hello")
    assert store.browse("x" * 60_000) == []
    assert store.browse("ab " * 50_000) == []
    with pytest.raises(InvalidInputError):
        store.browse(limit=10**30)
    with pytest.raises(InvalidInputError):
        store.message(10**30)
