"""Take models off the record and off the disk."""

from __future__ import annotations

from engine.errors import InvalidInputError
from engine.models.staging import discard, model_lock
from engine.progress import CallbackReporter
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
    for model in [*below, record]:
        with model_lock(workspace, model.name, CallbackReporter()):
            Models(database).remove(model.name)
            discard(workspace, model.path)
    return record
