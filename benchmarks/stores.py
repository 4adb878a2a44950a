"""Workspaces in the state that a terminal benchmark wants to find them in."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import checkout  # noqa: F401
from harness import cache_folder, say

from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace

SHORT_TAIL = "shorttail"
LONG_TAIL = "longtail"
"""The last words of the conversations, to be looked for on the screen."""

_SENTENCE = "The tide comes in twice a day, and each time it brings something that nobody in the village has asked for. "


def new_store(home: Path, graph: Path | None = None) -> Workspace:
    """An empty workspace with one model on record, so that the screen is ready to chat.

    Args:
        graph: the model's folder; None where a scripted host answers.
    """
    workspace = Workspace(home).prepare()
    database = Database(workspace.database)
    try:
        name = "smollm2-135m-int4" if graph else "scripted"
        Models(database).put(ModelRecord(name, "onnx", graph or workspace.models / name, precision="int4", context_length=8192))
    finally:
        database.close()
    if graph is None:
        (workspace.models / "scripted").mkdir(exist_ok=True)
    return workspace


def add_conversation(workspace: Workspace, messages: int, length: int, tail: str) -> str:
    """Store a conversation; it becomes the one used last.

    Args:
        messages: how many, the user's and the replies taking turns.
        length: of each, in characters.
        tail: the last message's last word.
    """
    database = Database(workspace.database)
    try:
        conversations = Conversations(database)
        made = conversations.create(title=f"{messages} messages").id
        body = (_SENTENCE * (length // len(_SENTENCE) + 1))[:length].strip()
        with database.transaction() as connection:
            parent = None
            for number in range(messages):
                text = f"**Message {number}.** {body}" + (f" {tail}" if number == messages - 1 else "")
                cursor = connection.execute(
                    "INSERT INTO messages (conversation, parent, role, content, status, model, created_at)"
                    " VALUES (?, ?, ?, ?, 'complete', 'scripted', ?)",
                    (made, parent, "assistant" if number % 2 else "user", text, _time(number)),
                )
                parent = cursor.lastrowid
            latest = datetime.now(UTC).isoformat(timespec="milliseconds")
            connection.execute("UPDATE conversations SET head = ?, updated_at = ? WHERE id = ?", (parent, latest, made))
    finally:
        database.close()
    return made


def crowded_store(home: Path, conversations: int) -> Workspace:
    """A workspace with very many conversations of two messages; made once, then copied from the cache."""
    from engine.store import database as store

    schema = store._migrations()[-1][0]
    kept = cache_folder() / "stores" / f"{conversations}-conversations-schema-{schema}"
    if not (kept / "ready").exists():
        say(f"making a store of {conversations:,} conversations (once; its time is not counted)")
        shutil.rmtree(kept, ignore_errors=True)
        _fill(new_store(kept), conversations)
        (kept / "ready").touch()
    shutil.copytree(kept, home, dirs_exist_ok=True)
    return Workspace(home).prepare()


def _fill(workspace: Workspace, conversations: int) -> None:
    database = Database(workspace.database)
    try:
        with database.transaction() as connection:
            connection.executemany(
                "INSERT INTO conversations (id, title, head, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
                (
                    (f"{number:012x}", f"About subject {number}", 2 * number + 2, _time(number), _time(number))
                    for number in range(conversations)
                ),
            )
            connection.executemany(
                "INSERT INTO messages (id, conversation, parent, role, content, status, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (identifier, f"{number:012x}", parent, role, f"{_SENTENCE} {role} {number}", "complete", _time(number))
                    for number in range(conversations)
                    for identifier, parent, role in (
                        (2 * number + 1, None, "user"),
                        (2 * number + 2, 2 * number + 1, "assistant"),
                    )
                ),
            )
        database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()


def _time(number: int) -> str:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return (start + timedelta(minutes=number)).isoformat(timespec="milliseconds")
