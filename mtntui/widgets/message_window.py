"""Which messages of a long conversation are on the screen, and which to fetch next."""

from __future__ import annotations

from dataclasses import dataclass, field

PAGE = 30
"""Messages mounted at once. Fifty as Markdown trees are 8,551 widgets; this many fill any terminal several times."""

MOST = 90
"""Messages kept mounted; beyond that, those far from the reader go."""


@dataclass(slots=True)
class MessageWindow:
    """The ids of a branch that were seen so far, oldest first, and the stretch of them that is mounted.

    Attributes:
        ids: everything seen; grows at the front while the reader scrolls up.
        first: index of the first mounted message.
        last: index after the last mounted one.
        complete: whether `ids` begins with the conversation's first message.
    """

    ids: list[int] = field(default_factory=list)
    first: int = 0
    last: int = 0
    complete: bool = False

    @property
    def more_above(self) -> bool:
        """Whether there is something above what is mounted."""
        return self.first > 0 or not self.complete

    @property
    def more_below(self) -> bool:
        """Whether there is something below what is mounted."""
        return self.last < len(self.ids)

    def page_above(self) -> tuple[int | None, int]:
        """What to ask the store for above the window: `before` and `limit`."""
        return (self.ids[self.first] if self.ids else None), min(PAGE, self.first) if self.first else PAGE

    def page_below(self) -> tuple[int | None, int]:
        """What to ask the store for below the window: `before` and `limit`."""
        end = min(len(self.ids), self.last + PAGE)
        return (self.ids[end] if end < len(self.ids) else None), end - self.last

    def prepended(self, ids: list[int], asked: int) -> int:
        """Messages were mounted above; returns how many to unmount at the end."""
        if self.first == 0:
            self.ids[:0] = ids
            self.last += len(ids)
            self.complete = self.complete or len(ids) < asked
        else:
            self.first -= len(ids)
        surplus = max(0, self.last - self.first - MOST)
        self.last -= surplus
        return surplus

    def appended(self, ids: list[int]) -> int:
        """Messages were mounted below; returns how many to unmount at the start."""
        if self.last == len(self.ids):
            self.ids += ids
        self.last += len(ids)
        surplus = max(0, self.last - self.first - MOST)
        self.first += surplus
        return surplus

    def cut(self, keep: int) -> None:
        """Forget all but the first `keep` messages."""
        del self.ids[keep:]
        self.last = min(self.last, keep)
        self.first = min(self.first, self.last)
