"""Where in a conversation a search found what it looked for."""

from __future__ import annotations

from dataclasses import dataclass

from engine.store.database import Database
from engine.store.search import fts_query


@dataclass(frozen=True, slots=True)
class Place:
    """A message of a conversation's shown branch.

    Attributes:
        message: its id.
        branch: the ids of the whole branch, oldest first.
    """

    message: int
    branch: list[int]


def find_place(database: Database, conversation: str, query: str) -> Place | None:
    """The message of the shown branch that fits a search best; None when only the title or another branch does.

    Args:
        database: the workspace's.
        conversation: its whole id.
        query: what the user typed, as for `Conversations.browse`.
    """
    if not (match := fts_query(query)):
        return None
    branch = (
        "WITH RECURSIVE branch (at, depth) AS (SELECT head, 0 FROM conversations WHERE id = ? UNION ALL"
        " SELECT parent, depth + 1 FROM branch JOIN messages ON messages.id = branch.at WHERE parent IS NOT NULL)"
    )
    best = database.query(
        f"{branch} SELECT rowid FROM messages_fts WHERE messages_fts MATCH ? AND rowid IN (SELECT at FROM branch)"
        " ORDER BY rank, rowid LIMIT 1",
        (conversation, match),
    )
    if not best:
        return None
    return Place(
        best[0][0], [row[0] for row in database.query(f"{branch} SELECT at FROM branch ORDER BY depth DESC", (conversation,))]
    )
