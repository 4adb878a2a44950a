"""Weights rounded for int4 so that what a layer computes changes least. Runs in the worker: it imports torch.

onnxruntime's quantizer takes the scale of a block from its largest weight. A smaller scale clips that one and is finer for all
others; which is best depends on how strongly each input of the layer is driven. Here each block's scale is searched for the
least error of its weights, each weighted by the mean square of the input it multiplies: the diagonal of the Hessian of the
layer's output error (Frantar et al. 2022, "GPTQ", section 3; llama.cpp's "importance matrix" is the same). The weights are
written on the grid that was found, which the quantizer then finds again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.inference.chat_template import load_chat_template
from engine.inference.tokenizer import Tokenizer
from engine.inference.types import Message
from engine.progress import Progress, Reporter

if TYPE_CHECKING:
    import torch

_CALIBRATION = Path(__file__).with_name("calibration.json")
# Logits of a long text in a large vocabulary would take gigabytes.
_LONGEST = 512
# Scales that are tried, as parts of the largest weight's. The best are seldom below 0.6.
_SCALES = [1 - 0.04 * step for step in range(12)]
_ROWS = 4096


def round_to_int4(weights: Path, target: Path, block_size: int, reporter: Reporter) -> None:
    """Write a model's weights anew, rounded to 4 bits a weight in blocks along a layer's inputs.

    Args:
        weights: a folder of safetensors with configuration and tokenizer.
        target: where the rounded `*.safetensors` go, in the same shards, types and names; an empty folder.
        block_size: weights that share a scale.

    Raises:
        InvalidInputError: the tokenizer cannot be read.
        ImportError, ValueError, …: whatever transformers raises for a model that it cannot run.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    importance = _importance(weights, reporter)
    shards = sorted(weights.glob("*.safetensors"))
    for number, shard in enumerate(shards):
        reporter.progress(Progress("rounding the weights", number, len(shards), "files"))
        with safe_open(shard, framework="pt") as source:
            tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (it is no mapping)
            for name in tensors.keys() & importance.keys():
                tensors[name] = nearest_on_grid(tensors[name], importance[name], block_size)
            save_file(tensors, target / shard.name, metadata=source.metadata())


def _importance(weights: Path, reporter: Reporter) -> dict[str, torch.Tensor]:
    """How strongly each input of each linear layer is driven, by the name of the layer's weights.

    Returns:
        Sums of squares, float32 of shape [inputs] each; a matrix that is shared with the embedding stands there under both names.
    """
    import torch
    from transformers import AutoModelForCausalLM

    reporter.progress(Progress("loading the weights"))
    model = AutoModelForCausalLM.from_pretrained(weights, dtype="auto", trust_remote_code=False, local_files_only=True)
    if model.dtype == torch.float16:  # activations of some models are beyond its 65504, which bfloat16 reaches
        model = model.to(torch.bfloat16)
    model.eval()
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    squares = [torch.zeros(linear.in_features) for linear in linears]
    for linear, total in zip(linears, squares, strict=True):
        linear.register_forward_pre_hook(lambda _, inputs, total=total: _add_squares(total, inputs[0]))
    texts = list(_calibration_ids(weights, model.config.get_text_config().vocab_size))
    for number, ids in enumerate(texts):
        reporter.progress(Progress("measuring activations", number, len(texts), "texts"))
        with torch.inference_mode():
            model(torch.tensor([ids]), use_cache=False)
    by_matrix = {id(linear.weight): total for linear, total in zip(linears, squares, strict=True)}
    named = model.named_parameters(remove_duplicate=False)
    return {name: by_matrix[id(matrix)] for name, matrix in named if id(matrix) in by_matrix}


def _add_squares(total: torch.Tensor, inputs: torch.Tensor) -> None:
    total += inputs.detach().reshape(-1, inputs.shape[-1]).float().square().sum(0)


def _calibration_ids(weights: Path, vocabulary: int) -> Iterator[list[int]]:
    """Our own conversations, as the model reads them."""
    template, tokenizer = load_chat_template(weights), Tokenizer(weights)
    for conversation in json.loads(_CALIBRATION.read_text(encoding="utf-8")):
        messages = [Message(turn["role"], turn["content"]) for turn in conversation]
        text = template.render(messages)
        ids = [number for number in tokenizer.encode(text, add_special_tokens=template.plain) if number < vocabulary]
        if not ids:
            raise EngineError(f"The tokenizer in {weights} knows no words.", "Fetch the model again.")
        yield ids[:_LONGEST]


def nearest_on_grid(weight: torch.Tensor, importance: torch.Tensor, block_size: int) -> torch.Tensor:
    """Round a matrix to a symmetric 4-bit grid for each block, of the least weighted error.

    Args:
        weight: floating point, of shape [outputs, inputs].
        importance: float32 of shape [inputs], not negative.
        block_size: weights that share a scale; a last block may be shorter.

    Returns:
        Of `weight`'s shape and type. In each block one weight is -8 times the scale, so that a quantizer that takes the scale
        from the largest weight takes this one. A matrix that is no matrix of these inputs comes back as it is.
    """
    import torch

    if weight.ndim != 2 or weight.shape[1] != len(importance):
        return weight
    outputs, inputs = weight.shape
    padding = -inputs % block_size
    factors = torch.nn.functional.pad(importance, (0, padding)).reshape(1, -1, block_size)
    rounded = torch.empty_like(weight)
    for start in range(0, outputs, _ROWS):
        rows = weight[start : start + _ROWS].float()
        blocks = torch.nn.functional.pad(rows, (0, padding)).reshape(len(rows), -1, block_size)
        best = _best_scales(blocks, factors, weight.dtype)
        values = torch.clamp(torch.round(blocks / best), -8, 7) * best
        rounded[start : start + _ROWS] = values.reshape(len(rows), -1)[:, :inputs].to(weight.dtype)
    return rounded


def _best_scales(blocks: torch.Tensor, factors: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Scales of shape [outputs, blocks, 1] that `dtype` can hold, since the grid is written in it."""
    import torch

    largest = torch.gather(blocks, -1, blocks.abs().argmax(-1, keepdim=True)) / -8
    smallest = torch.finfo(torch.float16).tiny
    largest = torch.where(largest.abs() < smallest, torch.full_like(largest, smallest), largest)
    best, least = largest, torch.full_like(largest, torch.inf)
    for part in _SCALES:
        scale = (largest * part).to(dtype).float()
        error = ((torch.clamp(torch.round(blocks / scale), -8, 7) * scale - blocks).square() * factors).sum(-1, keepdim=True)
        better = error < least
        best, least = torch.where(better, scale, best), torch.where(better, error, least)
    return best
