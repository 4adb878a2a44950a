"""Weights to an ONNX graph, by onnxruntime-genai's builder. Runs in the worker: it imports torch."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from engine.errors import EngineError, InvalidInputError
from engine.models.graph_trial import try_graph
from engine.models.int4_rounding import round_to_int4
from engine.models.safetensors_files import read_json
from engine.progress import Progress, Reporter

_SMALL = 1 << 20
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
_COMPANIONS = ("config.json", "generation_config.json", "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE")

# Weights that share a scale in int4. With 32, the builder's own choice, a tenth more is read for each token; what 64 costs in
# quality is less than what rounding by activations gains (SmolLM2-135M, KL from the float32 weights on 2,555 tokens: 0.37 with
# blocks of 32 rounded plainly, 0.51 with plain blocks of 64, 0.32 with these).
_INT4_BLOCK = 64

# prune_lm_head: logits of the last token alone, which makes reading a prompt 15 % faster. hf_token: nothing is fetched, so none
# is asked for. fuse_mlp_gate_up: one matrix instead of two, which each token starts threads for. The CPU's other defaults
# are the right ones already: accuracy_level 4, the embedding shared with the output layer where the model ties them.
_OPTIONS = ("prune_lm_head=true", "hf_token=false", "hf_remote=false", "fuse_mlp_gate_up=true")


def build_graph(weights: Path, target: Path, precision: str, reporter: Reporter) -> dict[str, Any]:
    """Build a graph that can be chatted with.

    Args:
        weights: a folder of safetensors.
        target: an empty folder.
        precision: "int4", "int8" or "fp32".

    Returns:
        What `try_graph` returns.

    Raises:
        InvalidInputError: the builder cannot do this model, or its graph cannot be run here.
    """
    config = read_json(weights / "config.json")
    layers = (config.get("text_config") or config).get("num_hidden_layers")
    options = list(_OPTIONS)
    source = weights
    if precision == "int4":
        options.append(f"block_size={_INT4_BLOCK}")
        source = target / ".rounded"
        _call(weights, "transformers", lambda: _round(weights, source, reporter))
    reporter.progress(Progress("starting the graph builder"))
    stdout = sys.stdout
    sys.stdout = _Watcher(stdout, layers, reporter)
    try:
        _call(weights, "onnxruntime-genai's builder", lambda: _run_builder(source, target, precision, options, reporter))
    finally:
        sys.stdout = stdout
    for folder in (target / ".rounded", target / ".cache"):
        shutil.rmtree(folder, ignore_errors=True)
    _copy_companions(weights, target)
    return try_graph(target, reporter)


def _call(weights: Path, library: str, work: Callable[[], None]) -> None:
    """Run what may raise anything at all; the library's own words are the best there are."""
    try:
        work()
    except (MemoryError, OSError, EngineError):
        raise
    except Exception as error:
        raise InvalidInputError(
            f"{library} failed on {weights.name}: {type(error).__name__}: {error}.",
            "Try another precision, or use another model.",
        ) from error


def _round(weights: Path, target: Path, reporter: Reporter) -> None:
    target.mkdir()
    for path in weights.iterdir():
        if path.is_file() and path.suffix != ".safetensors":
            (target / path.name).symlink_to(path.absolute())
    round_to_int4(weights, target, _INT4_BLOCK, reporter)


def _run_builder(source: Path, target: Path, precision: str, options: list[str], reporter: Reporter) -> None:
    arguments = ["-i", str(source), "-o", str(target), "-p", precision, "-e", "cpu", "-c", str(target / ".cache")]
    sys.argv = ["builder", *arguments, "--extra_options", *options]
    try:
        runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__")
    except ValueError as error:
        if "fuse_mlp_gate_up" not in str(error):
            raise
        reporter.log(f"gate and up projections stay apart: {error}")
        sys.argv.remove("fuse_mlp_gate_up=true")
        runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__")


def _copy_companions(weights: Path, target: Path) -> None:
    # The builder writes the tokenizer anew, from what transformers made of it; the original is what the model was trained with.
    for name in _TOKENIZER_FILES + _COMPANIONS:
        source = weights / name
        if source.is_file() and (name in _TOKENIZER_FILES or source.stat().st_size <= _SMALL):
            shutil.copyfile(source, target / name)
    if not (target / "tokenizer.json").is_file():
        raise EngineError(f"{weights.name} has no tokenizer.json, and none could be made.", "Use another model.")


class _Watcher:
    """A stream that reads along for the builder's steps."""

    def __init__(self, stream: TextIO, layers: int | None, reporter: Reporter) -> None:
        self.stream = stream
        self._layers = layers
        self._reporter = reporter

    def write(self, text: str) -> int:
        if match := re.match(r"Reading layer (\d+)", text):
            self._reporter.progress(Progress("building the graph", int(match[1]) + 1, self._layers, "layers"))
        elif text.startswith("Saving ONNX model"):
            self._reporter.progress(Progress("quantising and saving"))
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
