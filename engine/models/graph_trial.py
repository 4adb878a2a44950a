"""Whether a graph can be chatted with here: loaded, and asked for one token. Runs in the worker: a big graph takes memory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from engine.errors import EngineError, InvalidInputError
from engine.inference.graph import Graph
from engine.inference.tokenizer import Tokenizer
from engine.progress import Progress, Reporter


def try_graph(folder: Path, reporter: Reporter) -> dict[str, Any]:
    """Load a graph and let it predict one token.

    Returns:
        context_length, in tokens, and precision ("int4", …).

    Raises:
        InvalidInputError: it cannot be loaded, wants other inputs than are given here, or predicts nonsense.
    """
    import numpy as np

    reporter.progress(Progress("trying the graph"))
    graph = _load(folder)
    ids = [number for number in Tokenizer(folder).encode("Hello, world") if number < graph.config.vocabulary]
    if not ids:
        raise InvalidInputError(f"The tokenizer in {folder} knows none of the graph's words.", "Fetch the model again.")
    logits = graph.run(graph.new_cache(), np.array([ids], dtype=np.int64), [len(ids)])
    if not np.isfinite(logits).all():
        raise InvalidInputError(f"The graph in {folder} predicts no numbers.", "Try another precision.")
    return {"context_length": graph.config.context_length, "precision": _precision(folder / graph.config.file)}


def _load(folder: Path) -> Graph:
    """The graph; onnxruntime's own words, which go on for a page, are left to the log."""
    try:
        return Graph(folder)
    except InvalidInputError as error:
        if error.__cause__ is None or isinstance(error.__cause__, (EngineError, OSError, ValueError, KeyError, TypeError)):
            raise
        said = _first_clause(str(error.__cause__))
        raise InvalidInputError(f"The graph in {folder} cannot be loaded: {said}.", "Build or fetch the model again.") from error


def _first_clause(trace: str) -> str:
    """What onnxruntime says about a graph, without its places in C++ and without paths."""
    if re.search(r"out of bounds or can not be read|External data|external initializer", trace, re.IGNORECASE):
        return "a file of its weights is missing or cut short"
    words = re.split(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", trace)[-1]
    words = re.sub(r"(?:Load model from )?\S*/\S*(?: failed:?)?", "", words)
    return re.split(r"[.:;\n]\s|\n", words.strip())[0].strip(" .:")[:200] or "onnxruntime refuses it"


def _precision(path: Path) -> str:
    """The type of most of a graph's matrices."""
    import onnx_ir

    model = onnx_ir.load(path)  # weights beside the graph are mapped, not read
    bits = [node.attributes["bits"].as_int() for node in model.graph if node.op_type == "MatMulNBits"]
    if bits:
        return f"int{max(set(bits), key=bits.count)}"
    kinds = {"FLOAT": "fp32", "FLOAT16": "fp16", "BFLOAT16": "bf16"}
    sizes: dict[str, int] = {}
    for value in model.graph.initializers.values():
        if value.const_value is not None:
            sizes[value.const_value.dtype.name] = sizes.get(value.const_value.dtype.name, 0) + value.const_value.size
    kind = max(sizes, key=lambda name: sizes[name]) if sizes else ""
    return kinds.get(kind, kind.lower())
