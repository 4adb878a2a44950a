"""Tiny GGUF files, written from tiny weights by the `gguf` package, and wheels that carry them."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

from engine.models.catalogue import WheelSource

_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.layers": "blk",
}


def tiny_gguf(weights: Path, target: Path, *, eos: int = 2, pad: int | None = 2, licence: str = "mit") -> Path:
    """Write a folder of `tiny_weights` (Llama) as a GGUF file in float32.

    Args:
        eos, pad: ids that the file claims; the defaults have padding equal the end of a turn, as files in the wild do.
    """
    config = json.loads((weights / "config.json").read_text())
    tokenizer = json.loads((weights / "tokenizer.json").read_text())
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_name("tiny")
    writer.add_license(licence)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    _add_tokenizer(writer, tokenizer, eos=eos, pad=pad)
    writer.add_chat_template((weights / "chat_template.jinja").read_text())
    for name, tensor in load_file(weights / "model.safetensors").items():
        writer.add_tensor(_gguf_name(name), _permuted(name, tensor, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def tiny_wheel(model: Path, folder: Path) -> WheelSource:
    """Put a GGUF file into a wheel in `folder`, beside a page that makes the folder a package index of one project."""
    project = folder / "simple" / "mtntui-tiny"
    project.mkdir(parents=True)
    wheel = project / "mtntui_tiny-0.1.0-py3-none-any.whl"
    member = f"mtntui_tiny/{model.name}"
    information = "mtntui_tiny-0.1.0.dist-info"
    files = {
        member: model.read_bytes(),
        f"{information}/METADATA": b"Metadata-Version: 2.1\nName: mtntui-tiny\nVersion: 0.1.0\nRequires-Dist: not-wanted\n",
        f"{information}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{name},sha256={_record_hash(data)},{len(data)}" for name, data in files.items()]
    files[f"{information}/RECORD"] = "\n".join([*record, f"{information}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    page = f'<!DOCTYPE html><html><body><a href="{wheel.name}#sha256={digest}">{wheel.name}</a></body></html>'
    (project / "index.html").write_text(page)
    return WheelSource(
        project="mtntui-tiny",
        version="0.1.0",
        file=wheel.name,
        size=wheel.stat().st_size,
        sha256=digest,
        member=member,
        member_size=model.stat().st_size,
        member_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
    )


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict[str, Any], *, eos: int, pad: int | None) -> None:
    vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda entry: entry[1])
    special = {token["id"] for token in tokenizer["added_tokens"]}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3 if number in special else 1 for _, number in vocabulary])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(eos)
    if pad is not None:
        writer.add_pad_token_id(pad)


def _gguf_name(name: str) -> str:
    for old, new in _NAMES.items():
        name = name.replace(old, new)
    return name


def _permuted(name: str, tensor: np.ndarray[Any, Any], config: dict[str, Any]) -> np.ndarray[Any, Any]:
    """llama.cpp keeps the rotary halves of queries and keys interleaved."""
    if not name.endswith(("q_proj.weight", "k_proj.weight")):
        return tensor
    heads = config["num_attention_heads"] if "q_proj" in name else config["num_key_value_heads"]
    split = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, tensor.shape[1])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(tensor.shape))


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
