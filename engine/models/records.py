"""Models put on record: what the row says, and whether the files still agree with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.errors import InvalidInputError
from engine.models.staging import inside
from engine.models.weights import WeightsFacts
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace

State = Literal["ready", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model's files come from, as its record tells.

    Attributes:
        source: what was asked for: a path, ORG/NAME on the Hub, a project of the package index.
        revision: which state of it: a commit, a version; "" where there is none.
        licence: SPDX id; "" takes what the files say.
        details: what else is worth keeping: hashes, say.
    """

    source: str
    revision: str = ""
    licence: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def files_of(folder: Path) -> dict[str, int]:
    """A model's files and their sizes in bytes, by path inside its folder."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def state_of(record: ModelRecord) -> State:
    """Whether a model's files are as they were when it was put on record."""
    if not record.path.is_dir():
        return "missing"
    recorded: dict[str, int] = record.details.get("files", {})
    here = files_of(record.path)
    return "ready" if all(here.get(name) == size for name, size in recorded.items()) else "damaged"


def put_weights(database: Database, name: str, folder: Path, facts: WeightsFacts, origin: Origin) -> ModelRecord:
    """Put a folder of weights on record."""
    files = files_of(folder)
    return Models(database).put(
        ModelRecord(
            name=name,
            format="safetensors",
            path=folder,
            precision=facts.precision,
            source=origin.source,
            revision=origin.revision,
            architecture=facts.architecture,
            parameters=facts.parameters,
            size_bytes=sum(files.values()),
            context_length=facts.context_length,
            licence=origin.licence or facts.licence,
            details={"files": files} | origin.details,
        )
    )


def claim_name(database: Database, workspace: Workspace, name: str) -> None:
    """Make sure that `name` is free; the caller holds its lock. A row whose files are gone gives its name up.

    Raises:
        InvalidInputError: a model has it.
    """
    models = Models(database)
    record = models.find(name)
    if record is None:
        return
    if state_of(record) == "missing" and inside(workspace, record.path) and not models.children(name):
        models.remove(name)
        return
    raise InvalidInputError(
        f"There is already a model named {name} (from {record.source or record.path}).",
        f"Choose another name with --name, or remove it first with `mtntui models remove {name}`.",
    )
