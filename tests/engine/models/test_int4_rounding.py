"""Weights rounded by how strongly their inputs are driven."""

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
def test_inputs_that_the_model_drives_hard_are_kept_better(tmp_path: Path, tied: bool) -> None:
    from safetensors.torch import load_file, save_file

    source, target = tiny_weights(tmp_path / "source", tied=tied), tmp_path / "rounded"
    target.mkdir()
    before = load_file(source / "model.safetensors")
    before["model.layers.0.input_layernorm.weight"][3] *= 50
    before["model.norm.weight"][5] *= 50
    save_file(before, source / "model.safetensors", metadata={"format": "pt"})
    reporter = Remembered()
    round_to_int4(source, target, 64, reporter)
    assert "measuring activations" in reporter.phases

    after = load_file(target / "model.safetensors")
    matrices = {name for name, tensor in before.items() if tensor.ndim == 2 and (tied or name != "model.embed_tokens.weight")}
    assert {name for name in before if not before[name].equal(after[name])} == matrices
    output = "model.embed_tokens.weight" if tied else "lm_head.weight"
    for name, column in (
        ("model.layers.0.self_attn.q_proj.weight", 3),
        ("model.layers.0.self_attn.k_proj.weight", 3),
        (output, 5),
    ):
        blocks = before[name].reshape(len(before[name]), -1, 64)
        plain = _plain(blocks).reshape(before[name].shape)
        ours, theirs = ((rounded - before[name]).square().mean(0)[column] for rounded in (after[name], plain))
        assert ours < 0.5 * theirs, name
