"""Files that are here already, made into models of the workspace."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.errors import InvalidInputError
from engine.models.child import run_worker
from engine.models.downloads import storage_errors
from engine.models.gguf_files import read_gguf
from engine.models.links import contained
from engine.models.records import Origin, files_of, put_weights
from engine.models.safetensors_files import read_json
from engine.models.staging import discard_staged, finish, megabytes, require_space, staging_folder
from engine.models.weights import ADAPTER, context_length, inspect_weights, licence_from_card
from engine.progress import Reporter
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace

_SLACK = 64_000_000
_SMALL = 16 << 20
_KEPT_ENDINGS = frozenset({".json", ".jinja", ".model", ".txt", ".md"})
_WEIGHT_ENDINGS = frozenset({".safetensors", ".onnx", ".data", ".gguf"})
_KEPT_NAMES = frozenset({"LICENSE", "LICENCE", "NOTICE"})


def is_companion(name: str) -> bool:
    """Whether a file beside the weights belongs to the model: tokenizer, configuration, licence. Never code, never pickles.

    Nor an adapter's configuration: with it transformers would take the folder for an adapter.
    """
    path = Path(name)
    if path.name == ADAPTER:
        return False
    if path.name.startswith(".") or path.name.endswith(".index.json"):
        return path.name == "model.safetensors.index.json"
    return path.suffix.lower() in _KEPT_ENDINGS or path.name in _KEPT_NAMES


def check_links(folder: Path) -> None:
    """See that no file that could be read as a part of the model is a link to somewhere else.

    Raises:
        InvalidInputError: one is; it is named.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and (is_companion(path.name) or path.suffix.lower() in _WEIGHT_ENDINGS):
            contained(folder, path.name)


def weights_from_gguf(
    gguf: Path, name: str, workspace: Workspace, database: Database, reporter: Reporter, origin: Origin
) -> ModelRecord:
    """Convert a GGUF file to safetensors and put it on record; the caller holds the name's lock.

    Raises:
        InvalidInputError: the file is damaged, or of a kind that cannot be converted.
        StorageError, StoppedError: as in `engine.models.pull.pull`.
    """
    summary = read_gguf(gguf)
    require_space(workspace.models, summary.parameters * 4 + _SLACK, f"Converting {gguf.name} to safetensors")
    reporter.log(f"converting {gguf.name} to safetensors")
    target = staging_folder(workspace, name)
    log = workspace.log_file.parent / f"convert-{name}.log"
    try:
        run_worker({"task": "convert", "gguf": str(gguf.absolute()), "target": str(target)}, reporter, log)
        facts = inspect_weights(target)
    except BaseException:
        discard_staged(workspace, name)
        raise
    made = finish(workspace, name)
    conversion = {
        "converted_from": gguf.name,
        "converted_precision": summary.precision,
        "converter": f"transformers {version('transformers')}",
    }
    licence = origin.licence or str(summary.metadata.get("general.license", ""))
    return put_weights(database, name, made, facts, replace(origin, licence=licence, details=conversion | origin.details))


def weights_from_folder(
    folder: Path, name: str, workspace: Workspace, database: Database, reporter: Reporter, origin: Origin
) -> ModelRecord:
    """Take a folder of safetensors in; the caller holds the name's lock.

    Big files are hard-linked where the disk allows it, so that they take no space twice; the rest is copied.

    Raises:
        InvalidInputError, UnsafeError: it is refused; the message says why.
        StorageError: as in `engine.models.pull.pull`.
    """
    facts = inspect_weights(folder)
    companions = [
        path.name
        for path in sorted(folder.iterdir())
        if path.is_file() and is_companion(path.name) and path.stat().st_size <= _SMALL * 4
    ]
    target = staging_folder(workspace, name)
    try:
        said = _take(folder, [*facts.files, *companions], target, workspace)
        _drop_code_references(target, reporter)
    except BaseException:
        discard_staged(workspace, name)
        raise
    reporter.log(f"{name}: {said}")
    return put_weights(database, name, finish(workspace, name), facts, origin)


def graph_from_folder(
    folder: Path, name: str, workspace: Workspace, database: Database, reporter: Reporter, origin: Origin
) -> ModelRecord:
    """Take an ONNX folder in onnxruntime-genai's layout in, after a trial; the caller holds the name's lock.

    Raises:
        InvalidInputError: files are missing, or the graph cannot be run here.
        StorageError: as in `engine.models.pull.pull`.
    """
    files = graph_files(folder)
    target = staging_folder(workspace, name)
    try:
        said = _take(folder, files, target, workspace)
        _drop_code_references(target, reporter)
        log = workspace.log_file.parent / f"try-{name}.log"
        facts = run_worker({"task": "try", "folder": str(target)}, reporter, log, paths={target: folder})
    except BaseException:
        discard_staged(workspace, name)
        raise
    reporter.log(f"{name}: {said}")
    return put_graph(database, name, finish(workspace, name), facts, origin)


def put_graph(database: Database, name: str, folder: Path, facts: dict[str, Any], origin: Origin) -> ModelRecord:
    """Put an ONNX folder on record, with what its trial told."""
    sizes = files_of(folder)
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    architectures = config.get("architectures") or [""]
    return Models(database).put(
        ModelRecord(
            name=name,
            format="onnx",
            path=folder,
            precision=facts["precision"],
            source=origin.source,
            revision=origin.revision,
            architecture=str(architectures[0]),
            size_bytes=sum(sizes.values()),
            context_length=facts["context_length"] or context_length(config),
            licence=origin.licence or licence_from_card(folder / "README.md"),
            details={"files": sizes} | origin.details,
        )
    )


def graph_files(folder: Path) -> list[str]:
    """The files of an ONNX folder that a model needs.

    Raises:
        InvalidInputError: some are missing, or the configuration points outside the folder.
    """
    config = read_json(folder / "genai_config.json")
    try:
        graph = str(config["model"]["decoder"]["filename"])
    except (KeyError, TypeError) as error:
        raise InvalidInputError(
            f"{folder / 'genai_config.json'} names no decoder graph.", "Only models of text in, text out can be used."
        ) from error
    if Path(graph).name != graph:
        raise InvalidInputError(f"{folder} names a graph outside itself: {graph}.", "Do not use this model.")
    for needed in (graph, "tokenizer.json"):
        if not (folder / needed).is_file():
            raise InvalidInputError(f"{folder} is half a model: {needed} is missing.", "Finish the download.")
    return [
        path.name
        for path in sorted(folder.iterdir())
        if path.is_file() and (is_companion(path.name) or path.name.startswith(graph) or path.suffix == ".data")
    ]


def _take(folder: Path, names: Iterable[str], target: Path, workspace: Workspace) -> str:
    """Bring files into `target`; says how."""
    linked, copied = 0, 0
    for name in dict.fromkeys(names):
        source = (folder / name).resolve()  # Hub caches are links to blobs: what is wanted is the content
        if source.stat().st_size > _SMALL and _link(source, target / name):
            linked += 1
            continue
        require_space(target, source.stat().st_size + _SLACK, f"Copying {name}")
        with storage_errors(target / name):
            shutil.copyfile(source, target / name)
        copied += 1
    size = megabytes(sum(path.stat().st_size for path in target.iterdir()))
    how = f"{linked} files linked and {copied} copied" if linked else f"{copied} files copied"
    return f"{how} into the workspace ({size})"


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another disk, a file system without links, or a file of somebody else's: a copy does it too
        return False
    return True


def _drop_code_references(folder: Path, reporter: Reporter) -> None:
    """Take `auto_map` out of the copies, so that nothing that loads them later is ever offered somebody's code."""
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if not path.is_file():
            continue
        config = read_json(path)
        if config.pop("auto_map", None) is None:
            continue
        with storage_errors(path):
            path.unlink()  # it may be a link to the original
            # Escaped to ASCII: JSON can hold lone surrogates, UTF-8 cannot.
            path.write_text(json.dumps(config, indent=2) + "\n", encoding="ascii")
        reporter.log(f"{name}: the reference to the author's own code was taken out; transformers knows this model")
