"""Fitting a conversation into a model's context: the oldest turns go first, the system prompt stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.errors import PromptTooLongError
from engine.inference.types import Message


@dataclass(frozen=True, slots=True)
class Fitted:
    """A prompt that fits.

    Attributes:
        text: the rendered prompt.
        ids: its token ids.
        dropped: how many of the oldest messages are not in it.
    """

    text: str
    ids: list[int]
    dropped: int


def fit(
    messages: Sequence[Message],
    *,
    context_length: int,
    max_new_tokens: int,
    render: Callable[[Sequence[Message]], str],
    encode: Callable[[str], list[int]],
) -> Fitted:
    """Render as many of the newest turns as fit beside a reply.

    A quarter of the context at most is kept free for the reply. What is dropped is dropped in steps of an eighth of the
    context, counted from the conversation's start: so the same turns stay for many replies in a row, and the key/value cache
    of one turn serves the next.

    Args:
        messages: the conversation; a first message of role "system" is always kept.
        context_length: the model's, in tokens.
        max_new_tokens: the longest reply asked for.
        render: messages to the prompt's text.
        encode: the prompt's text to token ids.

    Raises:
        PromptTooLongError: the last message alone does not fit.
    """
    system = list(messages[:1]) if messages and messages[0].role == "system" else []
    turns = list(messages[len(system) :])
    budget = context_length - min(max_new_tokens, context_length // 4)
    # A token is never shorter than a byte, but it can stand for many characters; 12 is beyond any tokenizer on real text.
    # This spares encoding a whole long history only to drop most of it.
    step = max(1, context_length // 8) * 4
    starts = _starts(turns, step)

    def prompt(start: int) -> Fitted:
        text = render([*system, *turns[start:]])
        return Fitted(text, encode(text), start)

    first = _first_possible(turns, starts, budget * 12)
    found = prompt(starts[first])
    if len(found.ids) <= budget:  # nearly always: most conversations fit as they are
        return found
    best: Fitted | None = None
    low, high = first + 1, len(starts)
    while low < high:  # the later the start, the shorter the prompt
        middle = (low + high) // 2
        found = prompt(starts[middle])
        if len(found.ids) <= budget:
            best, high = found, middle
        else:
            low = middle + 1
    if best is not None:
        return best
    if len(found.ids) < context_length:  # what was looked at last is the last message alone
        return found
    raise PromptTooLongError(
        f"The message is too long: the prompt is {len(found.ids):,} tokens with it, the model reads at most {context_length:,}.",
        "Shorten it, or choose a model with a longer context.",
    )


def _starts(turns: Sequence[Message], step: int) -> list[int]:
    """Where the kept part may begin: at the start, then at the first user turn after each `step` characters."""
    starts, position, line = [0], 0, 1
    for index, turn in enumerate(turns):
        if index and turn.role == "user" and position >= line * step:
            starts.append(index)
            line = position // step + 1
        position += len(turn.content)
    users = [index for index, turn in enumerate(turns) if turn.role == "user"]
    if users and users[-1] not in starts:
        starts.append(users[-1])
    return starts


def _first_possible(turns: Sequence[Message], starts: Sequence[int], characters: int) -> int:
    """The first of `starts` from which there are at most so many characters; what is longer cannot fit."""
    remaining = sum(len(turn.content) for turn in turns)
    position = 0
    for place, start in enumerate(starts):
        remaining -= sum(len(turn.content) for turn in turns[position:start])
        position = start
        if remaining <= characters:
            return place
    return len(starts) - 1


def defused(messages: Sequence[Message], defuse: Callable[[str], str]) -> list[Message]:
    """The messages with their special tokens made mere text."""
    return [replace(message, content=defuse(message.content)) for message in messages]
