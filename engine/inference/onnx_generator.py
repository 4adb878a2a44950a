"""Text generation over an ONNX graph: streaming with a cache kept from turn to turn, and real batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from engine.errors import EngineError, InvalidInputError
from engine.inference.chat_template import load_chat_template
from engine.inference.context import Fitted, defused, fit
from engine.inference.graph import Graph, KeyValueCache
from engine.inference.prefix_cache import CachedPrefix, PrefixCache
from engine.inference.sampling import Sampler
from engine.inference.tokenizer import Detokenizer, StopStrings, Tokenizer
from engine.inference.types import Event, Finished, FinishReason, GenerationRequest, Started, TextDelta

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A prompt is read in pieces, so that a stop takes effect, and other replies go on, before all of it is read.
_PREFILL_TOKENS = 256
_LARGEST_BATCH = 8


def never() -> bool:
    """The stop function of whoever never stops."""
    return False


@dataclass(slots=True)
class _Reply:
    """A reply in the making: what was asked, what was generated, what of it can be shown."""

    request: GenerationRequest
    prompt: Fitted
    sampler: Sampler
    detokenizer: Detokenizer
    stop_strings: StopStrings
    longest: int
    fits_request: bool
    arrival: float
    ids: list[int] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    first_token: float = 0.0
    reason: FinishReason | None = None

    def take(self, token: int, end_tokens: frozenset[int]) -> str:
        """Add the next token; returns the text that it makes visible and sets `reason` when it is the last."""
        if not self.first_token:
            self.first_token = perf_counter()
        if token in end_tokens:
            self.reason = "eos"
            return ""
        self.ids.append(token)
        text = self.stop_strings.add(self.detokenizer.add(token))
        if self.stop_strings.found:
            self.reason = "stop"
        elif len(self.ids) >= self.longest:
            self.reason = "length" if self.fits_request else "context"
        self.parts.append(text)
        return text

    def rest(self) -> str:
        """What was held back as the start of a character or of a stop string, once the reply is over."""
        if self.reason == "stop":
            return ""
        text = self.stop_strings.add(self.detokenizer.finish())
        text += "" if self.stop_strings.found else self.stop_strings.finish()
        self.parts.append(text)
        return text

    def finished(self) -> Finished:
        """The reply's end, with its figures."""
        now = perf_counter()
        seconds = now - self.first_token
        return Finished(
            text="".join(self.parts),
            reason=self.reason or "cancelled",
            prompt_tokens=len(self.prompt.ids),
            completion_tokens=len(self.ids),
            first_token_ms=1000 * (self.first_token - self.arrival) if self.first_token else 0.0,
            tokens_per_second=(len(self.ids) - 1) / seconds if len(self.ids) > 1 and seconds > 0 else 0.0,
        )


class OnnxGenerator:
    """A loaded ONNX model. Not for several threads at once; replies may be interleaved by `steps`.

    Args:
        folder: as onnxruntime-genai's builder writes it, with `tokenizer.json` and its chat template.
        threads: 0 takes one per physical core.

    Raises:
        InvalidInputError: the folder is not a model that can be run here.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self._graph = Graph(folder, threads)
        self._tokenizer = Tokenizer(folder)
        self._template = load_chat_template(folder)
        self._prefixes = PrefixCache(self._graph)

    @property
    def context_length(self) -> int:
        """The longest prompt and reply together, in tokens."""
        return self._graph.config.context_length

    def stream(self, request: GenerationRequest, should_stop: Callable[[], bool] = never) -> Iterator[Event]:
        """Continue a conversation; see `TextGenerator.stream`."""
        return (event for event in self.steps(request, should_stop) if event is not None)

    def steps(self, request: GenerationRequest, should_stop: Callable[[], bool] = never) -> Iterator[Event | None]:
        """As `stream`, and None after each piece of work that has nothing to show, so that others get their turn."""
        reply = self._begin(request)
        entry = self._prefixes.take(reply.prompt.ids)
        yield Started(len(reply.prompt.ids), len(entry.ids), reply.prompt.dropped, self.context_length)
        try:
            yield from self._generate(reply, entry, should_stop)
            if rest := reply.rest():
                yield TextDelta(rest, len(reply.ids))
            finished = reply.finished()
            if reply.reason != "stop":  # a stop string's tokens were generated, but are not in the reply's text
                entry.text = reply.prompt.text + finished.text
                entry.text_ids = reply.prompt.ids + reply.ids
        finally:
            self._prefixes.keep(entry)
        yield finished

    def _generate(self, reply: _Reply, entry: CachedPrefix, should_stop: Callable[[], bool]) -> Iterator[Event | None]:
        end_tokens = self._graph.config.end_tokens
        logits: NDArray[np.float32] | None = None
        for piece in self._prefill(entry, reply.prompt.ids):
            logits = piece
            yield None
            if should_stop():
                return
        while reply.reason is None:
            assert logits is not None  # at least the prompt's last token was read
            text = reply.take(reply.sampler.choose(logits[0]), end_tokens)
            yield TextDelta(text, len(reply.ids)) if text else None
            if reply.reason is not None or should_stop():
                break
            logits = self._read(entry, reply.ids[-1:])

    def _prefill(self, entry: CachedPrefix, ids: list[int]) -> Iterator[NDArray[np.float32]]:
        for start in range(len(entry.ids), len(ids), _PREFILL_TOKENS):
            yield self._read(entry, ids[start : start + _PREFILL_TOKENS])

    def _read(self, entry: CachedPrefix, ids: list[int]) -> NDArray[np.float32]:
        import numpy as np

        length = len(entry.ids) + len(ids)
        entry.cache.reserve(length, len(entry.ids))
        logits = self._graph.run(entry.cache, np.asarray([ids], dtype=np.int64), [length])
        entry.ids += ids
        return logits

    def _begin(self, request: GenerationRequest) -> _Reply:
        arrival = perf_counter()
        parameters = request.parameters
        prompt = fit(
            defused(request.messages, self._tokenizer.defuse),
            context_length=self.context_length,
            max_new_tokens=parameters.max_new_tokens,
            render=self._template.render,
            encode=self._encode,
        )
        if not prompt.ids:
            raise InvalidInputError("The model's chat template made an empty prompt.", "Use another model.")
        room = self.context_length - len(prompt.ids)
        return _Reply(
            request=request,
            prompt=prompt,
            sampler=Sampler(parameters, prompt.ids, self._graph.config.vocabulary),
            detokenizer=Detokenizer(self._tokenizer),
            stop_strings=StopStrings((*parameters.stop, *self._template.stop)),
            longest=min(parameters.max_new_tokens, room),
            fits_request=parameters.max_new_tokens <= room,
            arrival=arrival,
        )

    def _encode(self, text: str) -> list[int]:
        if self._template.plain:  # such a model has no turns to find again, and its tokenizer may open the text with a token
            return self._tokenizer.encode(text, add_special_tokens=True)
        return self._prefixes.encode(text, self._tokenizer.encode)

    def batch(
        self, requests: Sequence[GenerationRequest], should_stop: Callable[[], bool] = never
    ) -> list[Finished | EngineError]:
        """Continue several conversations at once; see `TextGenerator.batch`.

        Each prompt is read by itself; then all rows decode together, a row leaves as it ends and the next prompt takes its
        place. Padding is never computed.
        """
        rows = _Batch(self._graph)
        waiting = list(enumerate(requests))[::-1]
        done: dict[int, Finished | EngineError] = {}
        while (waiting or rows.replies) and not should_stop():
            while waiting and len(rows.replies) < _LARGEST_BATCH:
                place, request = waiting.pop()
                if (reply := self._begin_or_refuse(place, request, done)) is not None:
                    entry = CachedPrefix(self._graph.new_cache(capacity=len(reply.prompt.ids) + 1))
                    *_, logits = self._prefill(entry, reply.prompt.ids)
                    reply.take(reply.sampler.choose(logits[0]), self._graph.config.end_tokens)
                    rows.join(place, reply, entry.cache)
            rows.leave(done)
            rows.step()
        for place, request in waiting:
            if (reply := self._begin_or_refuse(place, request, done)) is not None:
                rows.join(place, reply, None)
        rows.leave(done, everyone=True)
        return [done[place] for place in range(len(requests))]

    def _begin_or_refuse(self, place: int, request: GenerationRequest, done: dict[int, Finished | EngineError]) -> _Reply | None:
        """Begin one reply of a batch; what keeps that one from being begun is its result, and nobody else's."""
        try:
            return self._begin(request)
        except EngineError as error:
            done[place] = error
            return None


class _Batch:
    """Replies that decode together, with the one cache that holds all their rows."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._cache: KeyValueCache | None = None
        self._sources: list[tuple[KeyValueCache | None, int]] = []
        self.replies: list[tuple[int, _Reply]] = []

    def join(self, place: int, reply: _Reply, cache: KeyValueCache | None) -> None:
        """Add a reply whose prompt stands in a cache of its own."""
        self.replies.append((place, reply))
        self._sources.append((cache, 0))
        self._cache = None

    def leave(self, done: dict[int, Finished | EngineError], *, everyone: bool = False) -> None:
        """Take out the replies that ended, into `done` by their place."""
        staying = [index for index, (_, reply) in enumerate(self.replies) if reply.reason is None and not everyone]
        if len(staying) == len(self.replies):
            return
        for index, (place, reply) in enumerate(self.replies):
            if index not in staying:
                reply.rest()
                done[place] = reply.finished()
        self.replies = [self.replies[index] for index in staying]
        self._sources = [self._sources[index] for index in staying]
        self._cache = None

    def step(self) -> None:
        """Decode one token for every row."""
        if not self.replies:
            return
        import numpy as np

        lengths = [len(reply.prompt.ids) + len(reply.ids) for _, reply in self.replies]
        cache = self._cache or self._gather(lengths)
        cache.reserve(max(lengths), max(lengths) - 1)
        ids = np.asarray([[reply.ids[-1]] for _, reply in self.replies], dtype=np.int64)
        logits = self._graph.run(cache, ids, lengths)
        for row, (_, reply) in enumerate(self.replies):
            reply.take(reply.sampler.choose(logits[row]), self._graph.config.end_tokens)

    def _gather(self, lengths: list[int]) -> KeyValueCache:
        cache = self._graph.new_cache(rows=len(self.replies), capacity=max(lengths) + 1)
        for row, (source, source_row) in enumerate(self._sources):
            assert source is not None
            cache.copy_row(source, source_row=source_row, row=row, used=lengths[row] - 1)
        self._sources = [(cache, row) for row in range(len(self.replies))]
        self._cache = cache
        return cache
