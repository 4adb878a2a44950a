"""Model folders that lie in the workspace and that the database knows nothing of, put on record again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.errors import EngineError
from engine.models.build import PRECISIONS
from engine.models.child import run_worker
from engine.models.errors import StoppedError
from engine.models.imports import graph_files, put_graph
from engine.models.records import Origin, put_weights
from engine.models.staging import check_name, inside, model_lock
from engine.models.weights import inspect_weights
from engine.progress import Reporter
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace

_SOURCE = "found in the workspace"


def unrecorded(workspace: Workspace, database: Database) -> list[str]:
    """Names of folders in the workspace that look like models and are not on record; weights before what is made of them."""
    known = {record.name for record in Models(database).all()}
    folders = sorted(workspace.models.iterdir()) if workspace.models.is_dir() else []
    found = [folder for folder in folders if folder.name not in known and inside(workspace, folder) and _looks_like_model(folder)]
    return [folder.name for folder in sorted(found, key=lambda folder: (_is_graph(folder), folder.name))]


def adopt(workspace: Workspace, database: Database, reporter: Reporter) -> list[str]:
    """Put every folder of `unrecorded` on record, graphs with the weights they were built from as their parent.

    Where a model came from is not in its files, so its source is lost. A folder that cannot be used is left, and reported.

    Returns:
        The names that are on record now.

    Raises:
        StoppedError: the reporter said so.
    """
    adopted: list[str] = []
    for name in unrecorded(workspace, database):
        try:
            with model_lock(workspace, name, reporter):
                if Models(database).find(name) is None:  # nobody put it there while we waited
                    _adopt_one(workspace, database, reporter, name)
                    adopted.append(name)
        except StoppedError:
            raise
        except EngineError as error:
            reporter.log(f"{name} stays off the record: {error}")
    _link_parents(database)
    return adopted


def _looks_like_model(folder: Path) -> bool:
    try:
        check_name(folder.name)
    except EngineError:
        return False
    return folder.is_dir() and (_is_graph(folder) or any(folder.glob("*.safetensors")))


def _is_graph(folder: Path) -> bool:
    return (folder / "genai_config.json").is_file()


def _adopt_one(workspace: Workspace, database: Database, reporter: Reporter, name: str) -> ModelRecord:
    folder = workspace.models / name
    if not _is_graph(folder):
        return put_weights(database, name, folder, inspect_weights(folder), Origin(_SOURCE))
    graph_files(folder)
    log = workspace.log_file.parent / f"try-{name}.log"
    facts = run_worker({"task": "try", "folder": str(folder)}, reporter, log)
    return put_graph(database, name, folder, facts, Origin(_SOURCE))


def _link_parents(database: Database) -> None:
    """Give graphs without a parent the weights that their name says they were built from."""
    models = Models(database)
    for record in models.all():
        if not record.chats or record.parent is not None:
            continue
        name, _, precision = record.name.rpartition("-")
        weights = models.find(name) if precision in PRECISIONS else None
        if weights is None or weights.chats or record.source not in {_SOURCE, f"built from {name}"}:
            continue
        models.put(
            replace(
                record,
                parent=name,
                source=f"built from {name}",
                architecture=record.architecture or weights.architecture,
                parameters=record.parameters or weights.parameters,
                licence=record.licence or weights.licence,
            )
        )
