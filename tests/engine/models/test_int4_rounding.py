"""Weights rounded by how strongly their inputs are driven."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from model_workspace import Remembered
from tiny_models import tiny_weights

from engine.models.int4_rounding import nearest_on_grid, round_to_int4

if TYPE_CHECKING:
    import torch


def _plain(blocks: "torch.Tensor") -> "torch.Tensor":
    import torch

    scale = torch.gather(blocks, -1, blocks.abs().argmax(-1, keepdim=True)) / -8
    return torch.clamp(torch.round(blocks / scale), -8, 7) * scale


@pytest.mark.parametrize("width", [128, 96])
def test_a_quantizer_that_takes_the_largest_weight_finds_the_grid_again(width: int) -> None:
    import torch

    torch.manual_seed(0)
    weight, importance = torch.randn(40, width), torch.rand(width)
    rounded = nearest_on_grid(weight, importance, 64)
    padded = torch.nn.functional.pad(rounded, (0, -width % 64)).reshape(40, -1, 64)
    assert torch.allclose(_plain(padded), padded, rtol=1e-6)
    assert len(padded[0, 0].unique()) <= 16


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_that_matter_are_kept_better(dtype: str) -> None:
    import torch

    torch.manual_seed(1)
    weight = torch.randn(64, 128).to(getattr(torch, dtype))
    importance = torch.ones(128)
    importance[::2] = 100
    rounded = nearest_on_grid(weight, importance, 64)
    assert rounded.dtype == weight.dtype
    plain = _plain(weight.float().reshape(64, -1, 64)).reshape(64, 128)

    def error(values: torch.Tensor) -> float:
        return float(((values.float() - weight.float()).square() * importance).sum())

    assert error(rounded) < 0.85 * error(plain)


def test_what_is_nothing_stays_nothing() -> None:
    import torch

    assert not nearest_on_grid(torch.zeros(4, 64), torch.ones(64), 64).any()
    other = torch.randn(4, 32)  # not a matrix of these inputs
    assert nearest_on_grid(other, torch.ones(64), 64) is other


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
def test_a_model_predicts_better_than_rounded_plainly(tmp_path: Path, tied: bool) -> None:
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM

    source = tiny_weights(tmp_path / "source", tied=tied)
    ours, plain = tmp_path / "ours", tmp_path / "plain"
    for target in (ours, plain):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors"))
    reporter = Remembered()
    round_to_int4(source, ours, 64, reporter)
    assert "measuring activations" in reporter.phases
    before, after = load_file(source / "model.safetensors"), load_file(ours / "model.safetensors")
    matrices = {name for name, tensor in before.items() if tensor.ndim == 2 and (tied or name != "model.embed_tokens.weight")}
    assert {name for name in before if not torch.equal(before[name], after[name])} == matrices
    for name in matrices:
        before[name] = _plain(before[name].reshape(len(before[name]), -1, 64)).reshape(before[name].shape)
    save_file(before, plain / "model.safetensors", metadata={"format": "pt"})

    ids = torch.randint(0, 512, (4, 64), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        exact, by_ours, by_plain = (AutoModelForCausalLM.from_pretrained(folder)(ids).logits for folder in (source, ours, plain))
    assert (by_ours - exact).square().mean() < (by_plain - exact).square().mean()
