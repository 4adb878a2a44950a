from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PromptTooLongError
from engine.inference.context import fit
from engine.inference.types import Message

SYSTEM = Message("system", "s" * 10)


def render(messages):
    return "".join(f"<{message.content}>" for message in messages)


def encode(text):
    return list(text.encode())


def fitted(messages, context=400, longest=100):
    return fit(messages, context_length=context, max_new_tokens=longest, render=render, encode=encode)


def talk(turns, size=30):
    return [Message("user" if index % 2 == 0 else "assistant", f"{index:04}".ljust(size, ".")) for index in range(turns)]


def test_what_fits_is_left_alone():
    messages = [SYSTEM, *talk(5)]
    assert fitted(messages).dropped == 0
    assert fitted(messages).text == render(messages)


@given(st.integers(1, 200), st.integers(4, 80))
@settings(max_examples=150, deadline=None)
def test_the_prompt_fits_keeps_the_system_prompt_and_the_last_message(turns, size):
    messages = talk(turns * 2 - 1, size)
    result = fitted([SYSTEM, *messages])
    assert len(result.ids) <= 300
    assert result.text.startswith(render([SYSTEM]))
    assert result.text.endswith(render(messages[-1:]))
    assert result.text == render([SYSTEM, *messages[result.dropped :]])
    assert messages[result.dropped].role == "user", "a conversation begins with what the user said"


def test_the_same_turns_stay_for_several_replies_in_a_row():
    """Else the key/value cache would be thrown away at every turn of a long conversation."""
    dropped = [fitted([SYSTEM, *talk(turns)]).dropped for turns in range(41, 101, 2)]
    assert dropped == sorted(dropped)
    changes = sum(first != second for first, second in pairwise(dropped))
    assert 0 < changes <= len(dropped) / 1.5
    assert fitted([SYSTEM, *talk(99)]).dropped < 99 - 3, "far more was dropped than needed"


def test_a_message_longer_than_the_context_is_an_error_with_both_numbers():
    with pytest.raises(PromptTooLongError, match=r"512 tokens.*400"):
        fitted([SYSTEM, Message("user", "x" * 498)])


def test_a_long_message_may_use_the_room_of_the_reply():
    assert len(fitted([SYSTEM, *talk(9), Message("user", "x" * 360)]).ids) == 374


def test_a_very_long_history_is_not_encoded_as_a_whole():
    lengths = []

    def counting(text):
        lengths.append(len(text))
        return encode(text)

    fit([SYSTEM, *talk(20_001)], context_length=400, max_new_tokens=100, render=render, encode=counting)
    assert sum(lengths) < 12_000
