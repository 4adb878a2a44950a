"""Weights to an ONNX graph, by onnxruntime-genai's builder. Runs in the worker: it imports torch."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any, TextIO

from engine.errors import EngineError, InvalidInputError
from engine.models.graph_trial import try_graph
from engine.models.safetensors_files import read_json
from engine.progress import Progress, Reporter

_SMALL = 1 << 20
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
_COMPANIONS = ("config.json", "generation_config.json", "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE")

# prune_lm_head: logits of the last token alone, which makes reading a prompt 15 % faster. hf_token: nothing is fetched, so none
# is asked for. The CPU's other defaults are the right ones already: accuracy_level 4, the embedding shared with the output
# layer where the model ties them.
_OPTIONS = ("prune_lm_head=true", "hf_token=false", "hf_remote=false")


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
    reporter.progress(Progress("starting the graph builder"))
    cache = target / ".cache"
    arguments = ["-i", str(weights), "-o", str(target), "-p", precision, "-e", "cpu", "-c", str(cache)]
    sys.argv = ["builder", *arguments, "--extra_options", *_OPTIONS]
    sys.stdout = _Watcher(sys.stdout, layers, reporter)
    try:
        runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__")
    except (MemoryError, OSError):
        raise
    except Exception as error:  # the builder raises whatever comes; its own words are the best there are
        raise InvalidInputError(
            f"onnxruntime-genai's builder failed on {weights.name}: {type(error).__name__}: {error}.",
            "Try another precision, or use another model.",
        ) from error
    finally:
        sys.stdout = sys.stdout.stream
    shutil.rmtree(cache, ignore_errors=True)
    _copy_companions(weights, target)
    return try_graph(target, reporter)


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
