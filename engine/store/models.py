"""Models on record: weights, and the graphs made from them."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.errors import InvalidInputError, NotFoundError
from engine.store.database import Database, now


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model as it lies on disk.

    Attributes:
        name: what users call it; unique.
        format: "safetensors" for weights, "onnx" for a graph that can be chatted with.
        path: the folder that holds it, absolute.
        parent: the model it was made from, or None.
        precision: the type of its weights ("fp32", "int4", …).
        source: where it came from (Hub id, wheel, path).
        revision: the source's own version (commit, wheel version).
        architecture: transformers' class name, such as "LlamaForCausalLM".
        parameters: how many weights, or None where that is unknown.
        size_bytes: its files together.
        context_length: in tokens, or None where that is unknown.
        licence: SPDX id or the source's own words; empty where unknown.
        details: anything else worth keeping (hashes of the files, builder version).
        created_at: ISO 8601.
    """

    name: str
    format: Literal["safetensors", "onnx"]
    path: Path
    parent: str | None = None
    precision: str = ""
    source: str = ""
    revision: str = ""
    architecture: str = ""
    parameters: int | None = None
    size_bytes: int = 0
    context_length: int | None = None
    licence: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    created_at: str = ""

    @property
    def chats(self) -> bool:
        """Whether it can be chatted with as it is."""
        return self.format == "onnx"


_COLUMNS = (
    "name, format, path, parent, precision, source, revision, architecture, parameters, size_bytes, context_length, licence,"
    " details, created_at"
)


class Models:
    """The models of a workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[ModelRecord]:
        """All models, by name."""
        return [self._record(row) for row in self._database.query(f"SELECT {_COLUMNS} FROM models ORDER BY name")]

    def find(self, name: str) -> ModelRecord | None:
        """The model of exactly this name, or None."""
        rows = self._database.query(f"SELECT {_COLUMNS} FROM models WHERE name = ?", (name,))
        return self._record(rows[0]) if rows else None

    def get(self, name: str) -> ModelRecord:
        """The model of exactly this name.

        Raises:
            NotFoundError: there is none; the hint names the ones there are.
        """
        if record := self.find(name):
            return record
        raise _absent(name, [model.name for model in self.all()])

    def children(self, name: str) -> list[ModelRecord]:
        """What was made from this model, oldest first."""
        sql = f"SELECT {_COLUMNS} FROM models WHERE parent = ? ORDER BY created_at, name"
        return [self._record(row) for row in self._database.query(sql, (name,))]

    def lineage(self, name: str) -> list[ModelRecord]:
        """The model, its parent, and so on up to what was fetched."""
        chain = [self.get(name)]
        while (parent := chain[-1].parent) is not None:
            chain.append(self.get(parent))
        return chain

    def runnable(self, name: str) -> ModelRecord:
        """The model to chat with when a user says `name`: itself, or the newest graph made from it.

        Raises:
            NotFoundError: there is no such model.
            InvalidInputError: it has no graph.
        """
        record = self.find(name)
        if record is None:
            raise _absent(name, self._runnable_names())
        if record.chats:
            return record
        graphs = [child for child in self.children(name) if child.chats]
        if not graphs:
            raise InvalidInputError(
                f"{name} is weights without a graph to chat with.",
                f"Build one with `mtntui models build {name}`.",
            )
        return graphs[-1]

    def _runnable_names(self) -> list[str]:
        """Graphs, and weights that have one."""
        graphs = [model for model in self.all() if model.chats]
        return sorted({model.name for model in graphs} | {model.parent for model in graphs if model.parent})

    def put(self, record: ModelRecord) -> ModelRecord:
        """Write a model's row, replacing one of the same name; returns it with its time.

        Raises:
            NotFoundError: its parent is not on record (any more).
        """
        values = (
            record.name,
            record.format,
            str(self._kept(record.path)),
            record.parent,
            record.precision,
            record.source,
            record.revision,
            record.architecture,
            record.parameters,
            record.size_bytes,
            record.context_length,
            record.licence,
            json.dumps(record.details, sort_keys=True),
            record.created_at or now(),
        )
        marks = ", ".join("?" * len(values))
        updates = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS.replace(" ", "").split(",")[1:])
        with self._database.transaction() as connection:
            if record.parent is not None and self.find(record.parent) is None:
                raise NotFoundError(
                    f"{record.name} was made from {record.parent}, which is not on record any more.",
                    f"Fetch {record.parent} again first.",
                )
            connection.execute(
                f"INSERT INTO models ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (name) DO UPDATE SET {updates}",
                values,
            )
        return self.get(record.name)

    def remove(self, name: str) -> ModelRecord:
        """Take a model off the record; its files are the caller's.

        Raises:
            NotFoundError: there is no such model.
            InvalidInputError: other models stand on it; they are named.
        """
        with self._database.transaction() as connection:  # begun before the look at children: no other process adds one meanwhile
            record = self.get(name)
            if children := self.children(name):
                names = ", ".join(child.name for child in children)
                raise InvalidInputError(f"{name} cannot be removed: {names} was made from it.", f"Remove {names} first.")
            connection.execute("DELETE FROM models WHERE name = ?", (name,))
        return record

    def _kept(self, path: Path) -> Path:
        """A path as it is stored: what lies beside the database from there, so that the whole folder can be moved or copied."""
        home = self._database.path.parent.absolute()
        return path.relative_to(home) if path.is_relative_to(home) else path

    def _record(self, row: sqlite3.Row) -> ModelRecord:
        values = dict(row)
        path = self._database.path.parent.absolute() / values["path"]  # one that was stored whole stays itself
        return ModelRecord(**values | {"path": path, "details": json.loads(values["details"])})


def _absent(name: str, names: list[str]) -> NotFoundError:
    hint = f"There are: {', '.join(names)}." if names else "Fetch one with `mtntui models pull smollm2-135m`."
    return NotFoundError(f"There is no model named {name}.", hint)
