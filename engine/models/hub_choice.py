"""Which of a Hub repository's files make a model that can be used here."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from engine.errors import InvalidInputError, NotFoundError
from engine.models.imports import is_companion
from engine.models.safetensors_files import INDEX, SINGLE
from engine.models.weights import ADAPTER, refuse_pickles

# The graph is made of 4-bit weights in the end, so more than eight bits only cost time; fewer than four cost sense.
_GGUF_ORDER = ("q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "f16", "bf16", "f32")
_GENAI = "genai_config.json"


@dataclass(frozen=True, slots=True)
class Choice:
    """Files to fetch.

    Attributes:
        kind: what they make.
        small: to be fetched and looked at before the rest.
        large: the rest; for "safetensors" with an index, what the index names is added to it.
        folder: the folder in the repository that they are in; "" is its root.
    """

    kind: Literal["safetensors", "gguf", "onnx"]
    small: tuple[str, ...]
    large: tuple[str, ...]
    folder: str = ""


def choose(repository: str, paths: Collection[str], wanted: str = "") -> Choice:
    """Choose among a repository's files: safetensors first, then an ONNX folder for the CPU, then a GGUF file.

    Args:
        wanted: a GGUF file or an ONNX folder of the repository, by name; "" leaves it to us.

    Raises:
        NotFoundError: `wanted` is not there.
        UnsafeError: all there is are pickled weights.
        InvalidInputError: there is nothing that can be used.
    """
    if wanted:
        return _named(repository, paths, wanted)
    root = {path for path in paths if "/" not in path}
    companions = tuple(sorted(path for path in root if is_companion(path)))
    if "config.json" in root and INDEX in root:
        return Choice("safetensors", companions, ())
    if "config.json" in root and SINGLE in root:
        return Choice("safetensors", companions, (SINGLE,))
    if folders := sorted({str(PurePosixPath(path).parent) for path in paths if path.rpartition("/")[2] == _GENAI}):
        return _onnx(paths, min(folders, key=_onnx_rank))
    ggufs = [path for path in paths if path.lower().endswith(".gguf") and _usable_gguf(path)]
    if ggufs:
        return Choice("gguf", _card(root), (min(ggufs, key=_gguf_rank),))
    if ADAPTER in root:
        raise InvalidInputError(
            f"{repository} is an adapter for another model, not a model.",
            "Fetch a repository that holds the merged model; the adapter's page names the model that it changes.",
        )
    refuse_pickles(repository, paths)
    raise InvalidInputError(
        f"{repository} holds no model that can be used here.",
        "It needs safetensors weights with a config.json, a GGUF file, or an ONNX folder with genai_config.json.",
    )


def _named(repository: str, paths: Collection[str], wanted: str) -> Choice:
    root = {path for path in paths if "/" not in path}
    if wanted in paths and wanted.lower().endswith(".gguf"):
        return Choice("gguf", _card(root), (wanted,))
    folder = wanted.rstrip("/")
    if f"{folder}/{_GENAI}" in paths:
        return _onnx(paths, folder)
    there = sorted(path for path in paths if path.lower().endswith(".gguf")) + sorted(
        path.rpartition("/")[0] for path in paths if path.endswith(f"/{_GENAI}")
    )
    hint = f"There are: {', '.join(there[:20])}." if there else "It has neither GGUF files nor ONNX folders."
    raise NotFoundError(f"{repository} has no {wanted} that can be used here.", hint)


def _onnx(paths: Collection[str], folder: str) -> Choice:
    folder = "" if folder == "." else folder
    inside = [path for path in paths if str(PurePosixPath(path).parent) == (folder or ".")]
    small = tuple(sorted(path for path in inside if is_companion(path.rpartition("/")[2])))
    large = tuple(sorted(path for path in inside if ".onnx" in path.rpartition("/")[2] or path.endswith(".data")))
    return Choice("onnx", small, large, folder)


def _onnx_rank(folder: str) -> tuple[bool, bool, int, str]:
    name = folder.lower()
    elsewhere = re.search(r"cuda|gpu|dml|directml|qnn|webgpu|trt|tensorrt|openvino|vitis|rocm", name) is not None
    return elsewhere, "int4" not in name, len(name), name


def _gguf_rank(path: str) -> tuple[int, str]:
    name = path.lower()
    for rank, kind in enumerate(_GGUF_ORDER):
        if re.search(rf"(^|[^a-z0-9]){kind}([^a-z0-9_]|$)", name):
            return rank, name
    return len(_GGUF_ORDER), name


def _usable_gguf(path: str) -> bool:
    name = path.lower()
    return not re.search(r"-\d{5}-of-\d{5}\.gguf$", name) and "mmproj" not in name and "imatrix" not in name


def _card(root: Collection[str]) -> tuple[str, ...]:
    return ("README.md",) if "README.md" in root else ()
