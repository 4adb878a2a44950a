"""Conversations on record: trees of messages, their ratings, and search over all of them."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import InvalidInputError, NotFoundError
from engine.store.database import Database, now
from engine.store.search import fts_query

Role = Literal["user", "assistant"]
Status = Literal["complete", "streaming", "stopped", "cut", "interrupted", "failed"]
Rating = Literal["good", "bad"]


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a conversation.

    Attributes:
        parent: the message it follows; None for a first one.
        status: "complete"; "streaming" while it grows; "stopped" by the user; "cut" at the longest reply's length or the
            context's end; "interrupted" when the program died; "failed" with `error`.
        parameters: the sampling parameters of a reply.
        first_token_ms: from the request to the reply's first token.
        rating: what the user thinks of a reply; None until they said so.
        correction: what the reply should have been, in the user's words.
    """

    id: int
    conversation: str
    parent: int | None
    role: Role
    content: str
    status: Status
    created_at: str
    error: str = ""
    model: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_ms: float | None = None
    tokens_per_second: float | None = None
    rating: Rating | None = None
    correction: str | None = None
    rated_at: str | None = None
    completed_at: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its messages.

    Attributes:
        head: the last message of the branch that is shown; None when there is none yet.
        source: what made it: "chat" or "ask".
        snippet: where a search found it, the words between \\x02 and \\x03; empty otherwise.
    """

    id: str
    title: str
    titled_by: Literal["auto", "user"]
    source: str
    model: str
    system: str
    head: int | None
    archived: bool
    created_at: str
    updated_at: str
    messages: int = 0
    snippet: str = ""


_CONVERSATION = "id, title, titled_by, source, model, system, head, archived, created_at, updated_at"
_COUNT = "(SELECT count(*) FROM messages WHERE messages.conversation = conversations.id) AS messages"
_MESSAGE = (
    "id, conversation, parent, role, content, status, created_at, error, model, parameters, prompt_tokens, completion_tokens,"
    " first_token_ms, tokens_per_second, rating, correction, rated_at, completed_at"
)
# What the inference host may still write. An interrupted reply is among it: another terminal that opens the workspace just when
# the host takes a reply on may mark it as one that nobody writes.
_UNFINISHED = "id = ? AND status IN ('streaming', 'interrupted')"
_LONGEST_TITLE = 80
_LONGEST_PATTERN = 1000  # characters of a search that titles are compared with


class Conversations:
    """The conversations of a workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Conversations

    def create(self, *, model: str = "", system: str = "", source: str = "chat", title: str = "") -> Conversation:
        """Begin a conversation; without a title it takes its first message's first line."""
        identifier, time = secrets.token_hex(6), now()
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO conversations (id, title, titled_by, source, model, system, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (identifier, title, "user" if title else "auto", source, model, system, time, time),
            )
        return self.get(identifier)

    def get(self, identifier: str) -> Conversation:
        """The conversation whose id is or starts with `identifier`.

        Raises:
            NotFoundError: there is none, or several.
        """
        sql = (
            f"SELECT {_CONVERSATION}, {_COUNT} FROM conversations WHERE deleted_at IS NULL AND id >= ? AND id < ? || 'g' LIMIT 2"
        )
        rows = self._database.query(sql, (identifier, identifier)) if identifier else []
        if len(rows) == 1:
            return _conversation(rows[0])
        hint = "See `mtntui logs list`."
        if rows:
            raise NotFoundError(f"More than one conversation's id starts with {identifier}.", hint)
        raise NotFoundError(f"There is no conversation {identifier!r}.", hint)

    def browse(self, query: str = "", *, limit: int = 50, offset: int = 0, archived: bool = False) -> list[Conversation]:
        """Conversations, the last used first; with a query, those whose title or messages hold all its words."""
        if match := fts_query(query):
            return self._search(match, query, limit, offset, archived)
        sql = (
            f"SELECT {_CONVERSATION}, {_COUNT} FROM conversations"
            " WHERE deleted_at IS NULL AND archived = ? ORDER BY updated_at DESC, id LIMIT ? OFFSET ?"
        )
        return [_conversation(row) for row in self._database.query(sql, (int(archived), limit, offset))]

    def _search(self, match: str, query: str, limit: int, offset: int, archived: bool) -> list[Conversation]:
        # SQLite refuses longer patterns, and no title is as long.
        query = query[:_LONGEST_PATTERN]
        like = "%" + query.strip().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
        sql = (
            "WITH hits AS MATERIALIZED (SELECT rowid AS message, rank FROM messages_fts WHERE messages_fts MATCH ?1),"
            " best AS (SELECT conversation AS found, message, min(hits.rank) FROM hits JOIN messages ON messages.id = message"
            " GROUP BY conversation)"
            f" SELECT {_CONVERSATION}, {_COUNT}, coalesce((SELECT snippet(messages_fts, 0, char(2), char(3), '…', 12)"
            " FROM messages_fts WHERE messages_fts MATCH ?1 AND rowid = best.message), '') AS snippet"
            " FROM conversations LEFT JOIN best ON best.found = conversations.id"
            " WHERE deleted_at IS NULL AND archived = ?2 AND (best.found IS NOT NULL OR title LIKE ?3 ESCAPE '\\')"
            " ORDER BY updated_at DESC, id LIMIT ?4 OFFSET ?5"
        )
        return [_conversation(row) for row in self._database.query(sql, (match, int(archived), like, limit, offset))]

    def rename(self, identifier: str, title: str) -> None:
        """Give a conversation the user's own title, which nothing else overwrites; an empty one is refused."""
        if not title.strip():
            raise InvalidInputError("A title cannot be empty.", "Type at least one word.")
        self._change("UPDATE conversations SET title = ?, titled_by = 'user' WHERE id = ?", (title.strip(), identifier))

    def set_model(self, identifier: str, model: str) -> None:
        """The model that the next reply of this conversation comes from."""
        self._change("UPDATE conversations SET model = ? WHERE id = ?", (model, identifier))

    def delete(self, identifier: str) -> None:
        """Hide a conversation; `restore` brings it back."""
        self._change("UPDATE conversations SET deleted_at = ? WHERE id = ?", (now(), identifier))

    def restore(self, identifier: str) -> None:
        """Undo `delete`."""
        self._change("UPDATE conversations SET deleted_at = NULL WHERE id = ?", (identifier,))

    # Messages

    def add_user_message(self, conversation: str, text: str, *, parent: int | None = None) -> StoredMessage:
        """Store what the user said, after `parent` or else after the head; committed when this returns."""
        text = _storable(text)
        with self._database.transaction() as connection:
            identifier = _insert_message(connection, conversation, parent, "user", text, "complete", "", {})
            sql = "UPDATE conversations SET title = ? WHERE id = ? AND title = ''"
            connection.execute(sql, (title_from(text), conversation))
        return self.message(identifier)

    def add_exchange(
        self, conversation: str, text: str, *, model: str, parameters: Mapping[str, Any]
    ) -> tuple[StoredMessage, StoredMessage]:
        """Store what the user said and the row that its reply grows in: both, or on a full disk neither."""
        with self._database.transaction():
            user = self.add_user_message(conversation, text)
            return user, self.start_reply(conversation, parent=user.id, model=model, parameters=parameters)

    def start_reply(self, conversation: str, *, parent: int, model: str, parameters: Mapping[str, Any]) -> StoredMessage:
        """Make the row that a reply grows in."""
        with self._database.transaction() as connection:
            identifier = _insert_message(connection, conversation, parent, "assistant", "", "streaming", model, parameters)
        return self.message(identifier)

    def claim_reply(self, identifier: int) -> None:
        """Say that a reply is being written, also when it was marked interrupted before its writer came to it."""
        self._change("UPDATE messages SET status = 'streaming' WHERE id = ? AND status = 'interrupted'", (identifier,))

    def grow_reply(self, identifier: int, text: str) -> None:
        """Store all of a reply's text so far; one that was taken for interrupted meanwhile is streaming again."""
        self._change(f"UPDATE messages SET content = ?, status = 'streaming' WHERE {_UNFINISHED}", (_storable(text), identifier))

    def finish_reply(
        self,
        identifier: int,
        text: str,
        status: Status,
        *,
        error: str = "",
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        first_token_ms: float | None = None,
        tokens_per_second: float | None = None,
    ) -> None:
        """Store a reply's whole text and how it ended; nothing happens when its end is stored already."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE messages SET content = ?, status = ?, error = ?, prompt_tokens = ?, completion_tokens = ?,"
                f" first_token_ms = ?, tokens_per_second = ?, completed_at = ? WHERE {_UNFINISHED}",
                (
                    _storable(text),
                    status,
                    _storable(error),
                    prompt_tokens,
                    completion_tokens,
                    first_token_ms,
                    tokens_per_second,
                    now(),
                    identifier,
                ),
            )

    def mark_interrupted(self, alive: tuple[int, ...] = (), *, older_than: float = 0) -> int:
        """Mark replies that still say "streaming" though nobody writes them any more; returns how many.

        Args:
            alive: replies that are being written.
            older_than: spare what was begun in the last so many seconds; its writer may be about to take it up.
        """
        marks = ", ".join("?" * len(alive))
        sql = (
            "UPDATE messages SET status = 'interrupted', completed_at = ?"
            f" WHERE status = 'streaming' AND created_at <= ? AND id NOT IN ({marks})"
        )
        with self._database.transaction() as connection:
            cursor = connection.execute(sql, (now(), now(ago=older_than), *alive))
            return cursor.rowcount

    def message(self, identifier: int) -> StoredMessage:
        """One message.

        Raises:
            NotFoundError: there is no such message.
        """
        rows = self._database.query(f"SELECT {_MESSAGE} FROM messages WHERE id = ?", (identifier,))
        if not rows:
            raise NotFoundError(f"There is no message {identifier}.", "See `mtntui logs list`.")
        return _message(rows[0])

    def messages(self, conversation: str, *, before: int | None = None, limit: int | None = None) -> list[StoredMessage]:
        """The shown branch, oldest first.

        Args:
            conversation: its whole id.
            before: only what comes before this message of the branch.
            limit: at most this many, the last ones; None: all.
        """
        start = "head FROM conversations WHERE id = ?" if before is None else "parent FROM messages WHERE id = ?"
        sql = (
            f"WITH RECURSIVE branch (at, depth) AS (SELECT (SELECT {start}), 0 UNION ALL SELECT parent, depth + 1 FROM branch"
            " JOIN messages ON messages.id = branch.at WHERE parent IS NOT NULL LIMIT ?)"
            f" SELECT {_MESSAGE} FROM branch JOIN messages ON messages.id = branch.at ORDER BY depth DESC"
        )
        first = conversation if before is None else before
        return [_message(row) for row in self._database.query(sql, (first, -1 if limit is None else limit))]

    def rate(self, identifier: int, rating: Rating | None, *, correction: str | None = None) -> StoredMessage:
        """Record what the user thinks of a reply.

        Args:
            identifier: the reply.
            rating: "good", "bad", or None to take a rating back.
            correction: what the reply should have been; None keeps an earlier correction only when the rating is "bad".

        Raises:
            InvalidInputError: the message is no finished reply, or the correction is empty.
        """
        message = self.message(identifier)
        if message.role != "assistant" or message.status == "streaming":
            raise InvalidInputError("Only a finished reply can be rated.", "Wait until the reply ends, or stop it.")
        if correction is not None and not correction.strip():
            raise InvalidInputError("A correction cannot be empty.", "Type what the reply should have been.")
        if correction is None and rating == "bad":
            correction = message.correction
        self._change(
            "UPDATE messages SET rating = ?, correction = ?, rated_at = ? WHERE id = ?",
            (rating, correction, now() if rating or correction else None, identifier),
        )
        return self.message(identifier)

    def _change(self, sql: str, parameters: tuple[object, ...]) -> None:
        with self._database.transaction() as connection:
            connection.execute(sql, parameters)


def title_from(text: str) -> str:
    """A conversation's title when the user gave none: the beginning of its first message's first line."""
    return text.strip().split("\n", 1)[0][:_LONGEST_TITLE].strip()


def _storable(text: str) -> str:
    """SQLite stores text as UTF-8, which has no place for lone surrogates (undecodable bytes of an argument or a pipe)."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _insert_message(
    connection: sqlite3.Connection,
    conversation: str,
    parent: int | None,
    role: Role,
    text: str,
    status: Status,
    model: str,
    parameters: Mapping[str, Any],
) -> int:
    time = now()
    cursor = connection.execute(
        "INSERT INTO messages (conversation, parent, role, content, status, model, parameters, created_at, completed_at)"
        " VALUES (?1, coalesce(?2, (SELECT head FROM conversations WHERE id = ?1)), ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            conversation,
            parent,
            role,
            text,
            status,
            model,
            json.dumps(dict(parameters), sort_keys=True),
            time,
            None if status == "streaming" else time,
        ),
    )
    identifier = cursor.lastrowid
    assert identifier is not None
    connection.execute(
        "UPDATE conversations SET head = ?, updated_at = ?, model = CASE WHEN ? = '' THEN model ELSE ? END WHERE id = ?",
        (identifier, time, model, model, conversation),
    )
    return identifier


def _conversation(row: sqlite3.Row) -> Conversation:
    values = dict(row)
    return Conversation(**values | {"archived": bool(values["archived"])})


def _message(row: sqlite3.Row) -> StoredMessage:
    values = dict(row)
    return StoredMessage(**values | {"parameters": json.loads(values["parameters"])})
