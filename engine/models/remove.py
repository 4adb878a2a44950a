"""Take models off the record and off the disk."""

from __future__ import annotations

from contextlib import ExitStack

from engine.errors import InvalidInputError
from engine.models.staging import discard, free_model
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace


def descendants(name: str, database: Database) -> list[ModelRecord]:
    """All that was made from a model, directly or not, each before what it was made from."""
    models = Models(database)
    found: list[ModelRecord] = []
    for child in models.children(name):
        found += [*descendants(child.name, database), child]
    return found


def remove(name: str, workspace: Workspace, database: Database, *, with_children: bool = False) -> ModelRecord:
    """Remove a model: first its row, then its files. A folder outside the workspace's models is left alone.

    Args:
        with_children: also what was made from it; otherwise that is a reason to refuse.

    Returns:
        The removed model's record.

    Raises:
        NotFoundError: there is no such model.
        InvalidInputError: other models were made from it; they are named.
        BusyError: another process fetches or builds one of them; nothing is removed.
        StorageError: the files cannot be deleted.
    """
    record = Models(database).get(name)
    below = descendants(name, database)
    if below and not with_children:
        names = ", ".join(child.name for child in below)
        raise InvalidInputError(
            f"{name} cannot be removed: {names} {'was' if len(below) == 1 else 'were'} made from it.",
            f"Remove {'that' if len(below) == 1 else 'those'} first, or all at once with --with-children.",
        )
    with ExitStack() as locks:
        for model in [*below, record]:  # all of them first: none is removed when another cannot be
            locks.enter_context(free_model(workspace, model.name, "removed"))
        for model in [*below, record]:
            Models(database).remove(model.name)
            discard(workspace, model.path)
    return record
