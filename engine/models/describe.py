"""What there is to tell about models, as plain values for tables, screens and JSON."""

from __future__ import annotations

import json
from typing import Any

from engine.models.records import files_of, state_of
from engine.store.database import Database
from engine.store.models import ModelRecord, Models


def summarise(record: ModelRecord) -> dict[str, Any]:
    """A model in the keys that scripts rely on."""
    return {
        "name": record.name,
        "state": state_of(record),
        "format": record.format,
        "precision": record.precision,
        "parameters": record.parameters,
        "size_bytes": record.size_bytes,
        "context_length": record.context_length,
        "licence": record.licence,
        "parent": record.parent,
        "source": record.source,
        "revision": record.revision,
        "architecture": record.architecture,
        "path": str(record.path),
        "created_at": record.created_at,
        "chats": record.chats,
    }


def describe(name: str, database: Database) -> dict[str, Any]:
    """All about a model: `summarise`, its lineage, children, files and details.

    Returns:
        The keys of `summarise`, and `lineage` (names, from the model back to what was fetched), `children` (names), `files`
        (objects of name and size_bytes), `chat_template` (whether it has one) and `details`.

    Raises:
        NotFoundError: there is no such model.
    """
    models = Models(database)
    record = models.get(name)
    here = files_of(record.path) if record.path.is_dir() else {}
    return summarise(record) | {
        "lineage": [model.name for model in models.lineage(name)],
        "children": [model.name for model in models.children(name)],
        "files": [{"name": file, "size_bytes": size} for file, size in here.items()],
        "chat_template": _has_template(record),
        "details": {key: value for key, value in record.details.items() if key != "files"},
    }


def _has_template(record: ModelRecord) -> bool:
    if (record.path / "chat_template.jinja").is_file():
        return True
    try:
        config = json.loads((record.path / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a model that is missing or damaged, which `state` says
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))
