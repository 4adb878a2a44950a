"""Key/value caches kept from turn to turn, so that a conversation's next turn reads only what is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.inference.graph import Graph, KeyValueCache

# Taking less than this from another conversation's cache costs more than reading it again.
_WORTH_COPYING = 32


@dataclass(slots=True)
class CachedPrefix:
    """Tokens that a cache holds.

    Attributes:
        ids: the tokens that the cache has read, in order.
        text: a prompt and the reply to it, as the next turn's prompt will begin; "" where that is not known.
        text_ids: the tokens of `text` as they were read and generated.
    """

    cache: KeyValueCache
    ids: list[int] = field(default_factory=list)
    text: str = ""
    text_ids: list[int] = field(default_factory=list)


class PrefixCache:
    """The caches of the conversations used last.

    Args:
        graph: whose caches these are.
        entries: how many to keep.
        limit: how many bytes they may take together; the newest is kept all the same.
    """

    def __init__(self, graph: Graph, entries: int = 4, limit: int = 2 << 30) -> None:
        self._graph = graph
        self._entries = entries
        self._limit = limit
        self._kept: list[CachedPrefix] = []

    def encode(self, text: str, encode: Callable[[str], list[int]]) -> list[int]:
        """Token ids of a prompt, with what was generated earlier as it was generated.

        A model may spell a word with other tokens than the tokenizer would. Encoding its reply anew would then differ from
        what the cache holds, and everything after it would have to be read again.

        Args:
            text: the whole rendered prompt.
            encode: for what is new in it.
        """
        known = [entry for entry in self._kept if entry.text and text.startswith(entry.text)]
        if not known:
            return encode(text)
        longest = max(known, key=lambda entry: len(entry.text))
        return longest.text_ids + encode(text[len(longest.text) :])

    def take(self, ids: Sequence[int]) -> CachedPrefix:
        """A cache that holds as much of the prompt as any kept one; its `ids` say how much.

        At least the prompt's last token is left to be read, since its logits are needed. A cache of which the prompt uses less
        than half belongs to another conversation: what they share is copied.
        """
        shared, best = max(((common_prefix(entry.ids, ids), entry) for entry in self._kept), default=(0, None), key=_first)
        shared = min(shared, len(ids) - 1)
        if best is None or shared < _WORTH_COPYING:
            return CachedPrefix(self._graph.new_cache(capacity=len(ids) + 1))
        if 2 * shared >= len(best.ids):
            self._kept.remove(best)
            return CachedPrefix(best.cache, best.ids[:shared])
        fresh = CachedPrefix(self._graph.new_cache(capacity=len(ids) + 1), best.ids[:shared])
        fresh.cache.copy_row(best.cache, source_row=0, row=0, used=shared)
        return fresh

    def keep(self, entry: CachedPrefix) -> None:
        """Keep a cache for the next turn; the ones used longest ago go."""
        self._kept.append(entry)
        while len(self._kept) > 1 and (
            len(self._kept) > self._entries or sum(kept.cache.bytes for kept in self._kept) > self._limit
        ):
            del self._kept[0]


def _first(pair: tuple[int, CachedPrefix | None]) -> int:
    return pair[0]


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    low, high = 0, length
    while high - low > 1:  # slices compare in C, one by one in Python would take a hundred times as long
        middle = (low + high) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle
    return low
