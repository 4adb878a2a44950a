"""Whether a graph can be chatted with here: loaded, and asked for one token. Runs in the worker: a big graph takes memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import InvalidInputError
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
    graph = Graph(folder)
    ids = [number for number in Tokenizer(folder).encode("Hello, world") if number < graph.config.vocabulary]
    if not ids:
        raise InvalidInputError(f"The tokenizer in {folder} knows none of the graph's words.", "Fetch the model again.")
    logits = graph.run(graph.new_cache(), np.array([ids], dtype=np.int64), [len(ids)])
    if not np.isfinite(logits).all():
        raise InvalidInputError(f"The graph in {folder} predicts no numbers.", "Try another precision.")
    return {"context_length": graph.config.context_length, "precision": _precision(folder / graph.config.file)}


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
