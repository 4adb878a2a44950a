"""Safetensors files as they lie on disk: whether they are whole, and how many weights they hold.

Only headers are read (https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InvalidInputError
from engine.models.hub import safe_path

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_LARGEST_HEADER = 100 << 20  # the format's own limit
_PRECISIONS = {
    "F64": "fp64",
    "F32": "fp32",
    "F16": "fp16",
    "BF16": "bf16",
    "F8_E4M3": "fp8",
    "F8_E5M2": "fp8",
    "I8": "int8",
    "U8": "uint8",
}


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """What the headers of a model's files say together.

    Attributes:
        files: names, in order.
        parameters: weights, each shared one counted once (tied layers are stored once).
        precision: the type of most of them.
    """

    files: tuple[str, ...]
    parameters: int
    precision: str


def weight_files(folder: Path) -> tuple[str, ...]:
    """The names of a folder's safetensors files; empty when it has none.

    Raises:
        InvalidInputError: a shard that the index names is missing, or the index is broken.
    """
    index = folder / INDEX
    if index.is_file():
        names = shards_of(read_json(index), INDEX)
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise InvalidInputError(
                f"{folder} is half downloaded: {', '.join(missing[:3])} {'is' if len(missing) == 1 else 'are'} missing"
                f" ({len(names) - len(missing)} of {len(names)} files are there).",
                "Finish the download, then try again.",
            )
        return names
    if (folder / SINGLE).is_file():
        return (SINGLE,)
    return tuple(sorted(path.name for path in folder.glob("*.safetensors") if path.is_file() and "adapter" not in path.name))


def shards_of(index: dict[str, Any], name: str) -> tuple[str, ...]:
    """The files that an index names.

    Raises:
        InvalidInputError: it is no index, or names a file outside its folder.
    """
    shards = index.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise InvalidInputError(f"{name} names no files.", "Fetch the model again.")
    files = sorted({str(safe_path(str(shard))) for shard in shards.values()})
    if any("/" in file or not file.endswith(".safetensors") for file in files):
        raise InvalidInputError(f"{name} names files that are no safetensors beside it.", "Do not use this model.")
    return tuple(files)


def summarise(folder: Path, files: tuple[str, ...], *, tied: bool = False) -> TensorSummary:
    """Read the headers of all files.

    Args:
        tied: whether the output layer is the embedding; a copy of it that was stored all the same is not counted.

    Raises:
        InvalidInputError: a file is cut short or no safetensors file.
    """
    counts: dict[str, int] = {}
    for name in files:
        for key, tensor in _header(folder / name).items():
            if (tied and key.endswith("lm_head.weight")) or _is_buffer(key, tensor["shape"]):
                continue
            counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + math.prod(tensor["shape"])
    if not counts:
        raise InvalidInputError(f"{folder / files[0]} holds no weights.", "Fetch the model again.")
    kind = max(counts, key=lambda dtype: counts[dtype])
    return TensorSummary(files, sum(counts.values()), _PRECISIONS.get(kind, kind.lower()))


def _is_buffer(name: str, shape: list[int]) -> bool:
    """Whether a tensor is a constant that old checkpoints store (attention masks, rotary frequencies), not weights."""
    return name.endswith((".attn.masked_bias", "rotary_emb.inv_freq")) or (name.endswith(".attn.bias") and len(shape) == 4)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        InvalidInputError: it cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}.", "Fetch the model again.") from error
    if not isinstance(value, dict):
        raise InvalidInputError(f"{path} holds no JSON object.", "Fetch the model again.")
    return value


def _end_of(tensor: dict[str, Any]) -> int:
    """Where a tensor's bytes end; raises ValueError where its description contradicts itself."""
    begin, end = tensor["data_offsets"]
    shape, kind = tensor["shape"], tensor["dtype"]
    if not isinstance(kind, str) or not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise ValueError("no tensor")
    # No type of the format takes less than four bits, so a shape cannot claim more than this.
    if math.prod(shape) > 2 * (end - begin):
        raise ValueError("more weights than bytes")
    return int(end)


def _header(path: Path) -> dict[str, dict[str, Any]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > _LARGEST_HEADER or 8 + length > size:
            raise _broken(path, "it is no safetensors file, or cut off in its header")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = max((_end_of(tensor) for tensor in header.values()), default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise _broken(path, "its header makes no sense") from error
    if size != 8 + length + end:
        raise _broken(path, f"it has {size:,} bytes where its header asks for {8 + length + end:,}")
    tensors: dict[str, dict[str, Any]] = header
    return tensors


def _broken(path: Path, how: str) -> InvalidInputError:
    return InvalidInputError(f"{path} is damaged or half downloaded: {how}.", "Fetch it again.")
