"""GGUF files as they lie on disk: their metadata, and whether they are whole.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The `gguf` package reads it too, but takes seconds for a
vocabulary; here long arrays are skipped.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import InvalidInputError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST_STRING = 64 << 20
_LONGEST_KEPT_ARRAY = 64
_MOST_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class GgufSummary:
    """What a GGUF file says about itself.

    Attributes:
        metadata: its keys; arrays of more than 64 entries are left out.
        parameters: weights in all its tensors.
        precision: the tensor type that holds most of them ("q4_1").
    """

    metadata: dict[str, Any]
    parameters: int
    precision: str

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the architecture."""
        return str(self.metadata.get("general.architecture", ""))


def read_gguf(path: Path) -> GgufSummary:
    """Read a GGUF file's header.

    Raises:
        InvalidInputError: it is no GGUF file, of a version that is not known, one piece of several, or cut short.
    """
    try:
        with path.open("rb") as file:
            return _read(file, path)
    except (struct.error, UnicodeDecodeError, EOFError, KeyError, OverflowError, ValueError, TypeError, RecursionError) as error:
        raise _broken(path, "its header is cut off or makes no sense") from error
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}.", "Mend its permissions.") from error


def _read(file: BinaryIO, path: Path) -> GgufSummary:
    if file.read(4) != b"GGUF":
        raise InvalidInputError(f"{path} is no GGUF file: it does not begin with GGUF.", "Check what was downloaded.")
    version, tensors, entries = _unpack(file, "IQQ")
    if version not in {2, 3}:
        raise InvalidInputError(f"{path} is a GGUF file of version {version}; 2 and 3 can be read.", "Convert it anew.")
    if max(tensors, entries) > _MOST_ENTRIES:
        raise _broken(path, "its header makes no sense")
    metadata = {}
    for _ in range(entries):
        key = _string(file)
        (kind,) = _unpack(file, "I")
        metadata[key] = _value(file, kind)
    if int(metadata.get("split.count") or 0) > 1:
        raise InvalidInputError(
            f"{path.name} is one piece of a GGUF that was split.", "Join the pieces with llama-gguf-split, or use another file."
        )
    counts, end = _tensors(file, tensors)
    start = -(-file.tell() // (alignment := int(metadata.get("general.alignment") or 32))) * alignment
    if (size := path.stat().st_size) < start + end:
        raise _broken(path, f"it has {size:,} bytes where its header asks for {start + end:,}")
    kept = {key: value for key, value in metadata.items() if value is not None}
    precision = max(counts, key=lambda kind: counts[kind]) if counts else ""
    return GgufSummary(kept, sum(counts.values()), precision)


def _tensors(file: BinaryIO, count: int) -> tuple[dict[str, int], int]:
    """Weights per tensor type, and where the last tensor ends after the header."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    counts: dict[str, int] = {}
    end = 0
    for _ in range(count):
        _string(file)
        (dimensions,) = _unpack(file, "I")
        if dimensions > 8:
            raise ValueError("too many dimensions")
        elements = math.prod(_unpack(file, "Q" * dimensions))
        kind, offset = _unpack(file, "IQ")
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        name = GGMLQuantizationType(kind).name.lower()
        counts[name] = counts.get(name, 0) + elements
        end = max(end, offset + elements // block * size)
    return counts, end


def _value(file: BinaryIO, kind: int) -> Any:
    """One metadata value; None for an array that is too long to keep."""
    if kind in _SCALARS:
        return _unpack(file, _SCALARS[kind])[0]
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        raise ValueError(f"unknown type {kind}")
    inner, count = _unpack(file, "IQ")
    if count <= _LONGEST_KEPT_ARRAY:
        return [_value(file, inner) for _ in range(count)]
    if inner in _SCALARS:
        file.seek(count * struct.calcsize("<" + _SCALARS[inner]), 1)
    elif inner == _STRING:
        for _ in range(count):
            file.seek(_length(file), 1)
    else:
        raise ValueError("an array of arrays")
    return None


def _string(file: BinaryIO) -> str:
    length = _length(file)
    data = file.read(length)
    if len(data) != length:
        raise EOFError
    return data.decode("utf-8", "replace")


def _length(file: BinaryIO) -> int:
    length: int = _unpack(file, "Q")[0]
    if length > _LONGEST_STRING:
        raise ValueError("a string is too long")
    return length


def _unpack(file: BinaryIO, form: str) -> tuple[Any, ...]:
    form = "<" + form
    data = file.read(struct.calcsize(form))
    return struct.unpack(form, data)


def _broken(path: Path, how: str) -> InvalidInputError:
    return InvalidInputError(f"{path} is damaged or half downloaded: {how}.", "Fetch it again.")
