"""Take models in that are on this machine already."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InvalidInputError, NotFoundError
from engine.models.imports import check_links, graph_from_folder, weights_from_folder, weights_from_gguf
from engine.models.records import Origin, claim_name
from engine.models.staging import check_name, model_lock, slug, tidy
from engine.models.weights import refuse_pickles
from engine.progress import Reporter
from engine.store.database import Database
from engine.store.models import ModelRecord
from engine.workspace import Workspace


def add(path: Path, workspace: Workspace, database: Database, reporter: Reporter, *, name: str | None = None) -> ModelRecord:
    """Take a model in: a folder of safetensors, a GGUF file, or an ONNX folder in onnxruntime-genai's layout.

    The workspace gets files of its own: links to the same data for big ones where the disk allows it, else copies. A GGUF file
    is converted to safetensors. Weights become a graph by `engine.models.build.build`. Links are followed inside the folder
    alone, and from a snapshot of a Hugging Face cache into its blobs.

    Args:
        name: what to call it; by default the folder's or file's name.

    Raises:
        NotFoundError: there is no such path.
        InvalidInputError: it is no model that can be used, is half downloaded, or the name is taken.
        UnsafeError: it could only be loaded by running code of its author.
        StorageError: disk or memory does not suffice.
        StoppedError: the reporter said so; nothing is left.
    """
    path = path.expanduser().absolute()
    if not path.exists():
        raise NotFoundError(f"{path} is not there.", "Give a folder or a .gguf file.")
    kind = _kind(path)
    target = check_name(name) if name else slug(path.stem if path.is_file() else path.name)
    workspace.prepare()
    tidy(workspace)
    with model_lock(workspace, target, reporter):
        claim_name(database, workspace, target)
        if kind == "gguf":
            return weights_from_gguf(path, target, workspace, database, reporter, Origin(str(path)))
        take = graph_from_folder if kind == "onnx" else weights_from_folder
        return take(path, target, workspace, database, reporter, Origin(str(path)))


def _kind(path: Path) -> str:
    if path.is_file():
        if path.suffix.lower() == ".gguf":
            return "gguf"
        refuse_pickles(path.name, [path.name])
        raise InvalidInputError(
            f"{path} is no model: a file must be a GGUF (.gguf).",
            "For safetensors or ONNX give the folder that holds the file with its config.json and tokenizer.",
        )
    if not path.is_dir():
        raise InvalidInputError(f"{path} is neither a folder nor a file.", "Give a folder or a .gguf file.")
    check_links(path)
    if (path / "genai_config.json").is_file():
        return "onnx"
    if not any(path.glob("*.safetensors")):
        if not (path / "config.json").is_file() and len(ggufs := sorted(path.glob("*.gguf"))) == 1:
            raise InvalidInputError(f"{path} is a folder with a GGUF file in it.", f"Give the file: {ggufs[0]}.")
        if any(path.glob("*.onnx")):
            raise InvalidInputError(
                f"{path} holds an ONNX graph without genai_config.json, so how to run it is not known.",
                "Give the folder as onnxruntime-genai's builder writes it, or the weights.",
            )
    return "safetensors"
