"""Weights to a graph that can be chatted with."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.errors import InvalidInputError, NotFoundError
from engine.models.child import run_worker
from engine.models.records import claim_name, files_of, state_of
from engine.models.staging import discard, discard_staged, finish, model_lock, require_space, staging_folder, tidy
from engine.models.weights import architecture_of, buildable_architectures, check_config
from engine.progress import Reporter
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace

PRECISIONS = ("int4", "int8", "fp32")
"""What a graph's weights can be made of on a CPU."""

# Bytes per weight while building, the scales and the files' slack included.
_BYTES_PER_WEIGHT = {"int4": 1.0, "int8": 2.5, "fp32": 5.0}
_SLACK = 64_000_000


def build(name: str, workspace: Workspace, database: Database, reporter: Reporter, *, precision: str = "int4") -> ModelRecord:
    """Build the ONNX graph of a model's weights, named after both; one that is there is kept.

    Args:
        name: a model on record, in safetensors.
        precision: one of `PRECISIONS`.

    Returns:
        The graph's record; its parent is `name`.

    Raises:
        NotFoundError: there is no such model, or its files are gone.
        InvalidInputError: it is a graph already, or no graph can be made of its architecture.
        StoppedError: the reporter said so; nothing half made is left.
        StorageError: disk or memory does not suffice.
    """
    if precision not in PRECISIONS:
        raise InvalidInputError(f"The precision is {precision!r}.", f"It can be {', '.join(PRECISIONS)}.")
    weights = _weights(name, database)
    graph_name = f"{name}-{precision}"  # a few letters longer than `check_name` allows perhaps, or long names had no graph
    tidy(workspace)
    with model_lock(workspace, graph_name, reporter):
        existing = Models(database).find(graph_name)
        if existing is not None and existing.parent == name:
            if (state := state_of(existing)) == "ready":
                reporter.log(f"{graph_name} is already here")
                return existing
            reporter.log(f"{graph_name} is {state}; building it again")
            discard(workspace, existing.path)
        else:
            claim_name(database, workspace, graph_name)
        needed = int((weights.parameters or weights.size_bytes // 2) * _BYTES_PER_WEIGHT[precision]) + _SLACK
        if precision == "int4":
            needed += weights.size_bytes  # the rounded weights, until the graph is made of them
        require_space(workspace.models, needed, f"Building {graph_name}")
        reporter.log(f"building {graph_name} from {name}")
        target = staging_folder(workspace, graph_name)
        task = {"task": "build", "weights": str(weights.path), "target": str(target), "precision": precision}
        log = workspace.log_file.parent / f"build-{graph_name}.log"
        try:
            facts = run_worker(task, reporter, log)
        except BaseException:
            discard_staged(workspace, graph_name)
            raise
        folder = finish(workspace, graph_name)
        try:
            return _put_graph(folder, weights, precision, facts, database)
        except NotFoundError:  # the weights were removed meanwhile
            discard(workspace, folder)
            raise


def _put_graph(folder: Path, weights: ModelRecord, precision: str, facts: dict[str, Any], database: Database) -> ModelRecord:
    files = files_of(folder)
    return Models(database).put(
        ModelRecord(
            name=folder.name,
            format="onnx",
            path=folder,
            parent=weights.name,
            precision=precision,
            source=f"built from {weights.name}",
            revision=weights.revision,
            architecture=weights.architecture,
            parameters=weights.parameters,
            size_bytes=sum(files.values()),
            context_length=facts["context_length"],
            licence=weights.licence,
            details={"files": files, "builder": f"onnxruntime-genai {version('onnxruntime-genai')}"},
        )
    )


def check_buildable(name: str, architecture: str) -> None:
    """Make sure that the builder knows an architecture.

    Raises:
        InvalidInputError: it does not; the message lists what it covers.
    """
    covered = buildable_architectures()
    if covered and architecture not in covered:
        raise InvalidInputError(
            f"The weights of {name} are kept; no graph can be built for {architecture} yet. onnxruntime-genai's builder covers: "
            f"{', '.join(covered)}.",
            "To chat, use a model of one of these architectures.",
        )


def _weights(name: str, database: Database) -> ModelRecord:
    record = Models(database).get(name)
    if record.format != "safetensors":
        raise InvalidInputError(f"{name} is a graph already.", "Build from the weights that it was made of.")
    if (state := state_of(record)) != "ready":
        raise NotFoundError(
            f"The files of {name} in {record.path} are {state}.",
            f"Remove it with `mtntui models remove {name}` and fetch it again.",
        )
    check_buildable(name, architecture_of(check_config(record.path)))
    return record
