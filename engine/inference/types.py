"""What goes into text generation and what comes out, the same for every back end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Protocol

from engine.errors import EngineError, InvalidInputError

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["eos", "stop", "length", "context", "cancelled"]
"""Why a reply ended: the model's own end-of-turn token; a stop string; `max_new_tokens`; the context is full; the user."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How tokens are chosen.

    Attributes:
        max_new_tokens: the longest reply, in tokens.
        temperature: logits are divided by it; 0 is greedy.
        top_p: nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751): the smallest set of tokens whose probabilities
            sum to at least this; 1 is off.
        top_k: only this many most likely tokens; 0 is off.
        repetition_penalty: logits of tokens already in the context are divided (positive) or multiplied (negative) by it
            (Keskar et al. 2019, arXiv:1909.05858); 1 is off.
        seed: makes sampling repeatable; None takes a new one each time.
        stop: strings that end the reply; they are not part of it.

    Raises:
        InvalidInputError: a value is out of its bounds; names the field, the value and what is allowed.
    """

    max_new_tokens: int = 1024
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "max_new_tokens": (1, 1_000_000),
            "temperature": (0, 5),
            "top_p": (0, 1),
            "top_k": (0, 1_000_000),
            "repetition_penalty": (0.1, 10),
            "seed": (0, 2**63 - 1),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if value is None and name == "seed":
                continue
            kinds = int if name in {"max_new_tokens", "top_k", "seed"} else int | float
            if not isinstance(value, kinds) or isinstance(value, bool) or not low <= value <= high:
                what = "a whole number of " if kinds is int else ""
                raise InvalidInputError(f"`{name}` is {value!r}.", f"It takes {what}{low:,} to {high:,}.")
        if isinstance(self.stop, str) or any(not isinstance(text, str) or not text for text in self.stop):
            raise InvalidInputError(f"`stop` is {self.stop!r}.", "It takes strings of at least one character.")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as records and the host's protocol keep them."""
        return asdict(self) | {"stop": list(self.stop)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SamplingParameters:
        """The inverse of `as_dict`; unknown names are refused."""
        known = {entry.name for entry in fields(cls)}
        if unknown := set(values) - known:
            raise InvalidInputError(f"There is no parameter `{min(unknown)}`.", f"There are: {', '.join(sorted(known))}.")
        return cls(**values | {"stop": tuple(values.get("stop", ()))})


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A conversation to be continued by the assistant.

    Attributes:
        model: the name of a model of the workspace.
        messages: the turns so far, the last one the user's.
        parameters: how to sample.
        reply: the stored message that the host writes the reply into as it grows; None keeps nothing.
    """

    model: str
    messages: Sequence[Message]
    parameters: SamplingParameters = field(default_factory=SamplingParameters)
    reply: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The request waits: the model is being loaded."""

    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """The prompt is encoded and about to be read by the model.

    Attributes:
        prompt_tokens: the whole prompt.
        cached_tokens: how many of them the key/value cache already holds from an earlier turn.
        dropped_messages: how many of the oldest messages did not fit into the context.
        context_length: the model's.
    """

    prompt_tokens: int
    cached_tokens: int
    dropped_messages: int
    context_length: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the reply.

    Attributes:
        text: what is new; whole characters only.
        completion_tokens: how many tokens were generated so far.
    """

    text: str
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply is over.

    Attributes:
        text: all of it.
        reason: why it ended.
        first_token_ms: from the request's arrival to the first token.
        tokens_per_second: decoding alone, after the first token.
    """

    text: str
    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    first_token_ms: float
    tokens_per_second: float


Event = Waiting | Started | TextDelta | Finished


class TextGenerator(Protocol):
    """A loaded model that continues conversations."""

    def stream(self, request: GenerationRequest, should_stop: Callable[[], bool] = ...) -> Iterator[Event]:
        """Yield `Started`, then `TextDelta`s, then one `Finished`.

        `should_stop` is asked before every token; what was generated until then is kept, with reason "cancelled".
        """

    def batch(self, requests: Sequence[GenerationRequest], should_stop: Callable[[], bool] = ...) -> list[Finished | EngineError]:
        """Continue several conversations in one real batch; the results stand in the requests' order.

        In the place of a request that cannot be begun (its prompt is too long, the chat template refuses its messages) stands
        the error that says why; the others are not touched by it.

        Raises:
            EngineError: the model itself failed, and with it every request.
        """
