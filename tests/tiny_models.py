"""Tiny random models, made on the spot: weights in milliseconds, graphs by the real builder in a few seconds."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""Ids 0, 1 and 2 of every tiny tokenizer: padding, start of a turn, end of a turn."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

CORPUS = (
    "The quick brown fox jumps over the lazy dog.",
    "A hash table maps keys to values; look-ups take constant time on average.",
    "def add(a, b):\n    return a + b\n",
    "Was there rain in the mountains today? No, there was snow, wind and a little sun.",
)

Kind = Literal["llama", "qwen2", "gpt2"]

_ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "gpt2": "GPT2LMHeadModel"}


def tiny_tokenizer(vocabulary: int = 512) -> Tokenizer:
    """A byte-level BPE tokenizer trained on a few sentences; any text comes back from it as it went in."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def tiny_weights(folder: Path, kind: Kind = "llama", *, context: int = 512, tied: bool = True, seed: int = 0) -> Path:
    """Write a model of random weights as the Hub has them: safetensors, configuration, tokenizer, chat template.

    Args:
        folder: made when it is not there.
        kind: the architecture.
        context: the context length, in tokens.
        tied: whether the output layer shares the embedding's weights.
        seed: of the random weights.

    Returns:
        `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer()
    config = _config(kind, tokenizer.get_vocab_size(), context, tied)
    shapes = _gpt2_shapes(config) if kind == "gpt2" else _llama_shapes(config, biases=kind == "qwen2")
    random = np.random.default_rng(seed)
    tensors = {
        name: np.ones(shape, np.float32) if _is_norm(name) else (0.08 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    _write_json(
        folder / "tokenizer_config.json",
        {
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False,
            "model_max_length": context,
            "tokenizer_class": "TokenizersBackend",
        },
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return folder


def tiny_graph(tmp_path: Path, *, precision: Literal["int4", "fp32"] = "int4", context: int = 512) -> Path:
    """A tiny Llama as the ONNX folder that the inference back end loads; built once per session, copied for each caller.

    Args:
        tmp_path: where the copy goes.
        precision: of the graph's weights.
        context: the context length, in tokens.

    Returns:
        The folder `tmp_path/tiny-PRECISION`.
    """
    target = tmp_path / f"tiny-{precision}"
    shutil.copytree(_built_graph(precision, context), target)
    return target


@functools.cache
def _built_graph(precision: str, context: int) -> Path:
    import atexit

    root = Path(tempfile.mkdtemp(prefix="mtntui-tiny-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    weights = tiny_weights(root / "weights", context=context)
    graph = root / "graph"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "onnxruntime_genai.models.builder",
        "-i",
        weights,
        "-o",
        graph,
        "-p",
        precision,
    ]
    command += ["-e", "cpu", "-c", root / "cache", "--extra_options", "prune_lm_head=true", "hf_token=false"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    for name in ("config.json", "generation_config.json"):
        shutil.copy(weights / name, graph / name)
    return graph


def _config(kind: Kind, vocabulary: int, context: int, tied: bool) -> dict[str, Any]:
    common = {
        "architectures": [_ARCHITECTURES[kind]],
        "model_type": kind,
        "vocab_size": vocabulary,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": tied,
        "dtype": "float32",
    }
    if kind == "gpt2":
        return common | {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": context}
    return common | {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
    }


def _llama_shapes(config: dict[str, Any], *, biases: bool) -> dict[str, tuple[int, ...]]:
    hidden, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    narrow = config["num_key_value_heads"] * config["head_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, hidden),
        "model.norm.weight": (hidden,),
    }
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        for name, width in (("q", hidden), ("k", narrow), ("v", narrow)):
            shapes[f"{prefix}.self_attn.{name}_proj.weight"] = (width, hidden)
            if biases:
                shapes[f"{prefix}.self_attn.{name}_proj.bias"] = (width,)
        shapes |= {
            f"{prefix}.self_attn.o_proj.weight": (hidden, hidden),
            f"{prefix}.mlp.gate_proj.weight": (inner, hidden),
            f"{prefix}.mlp.up_proj.weight": (inner, hidden),
            f"{prefix}.mlp.down_proj.weight": (hidden, inner),
            f"{prefix}.input_layernorm.weight": (hidden,),
            f"{prefix}.post_attention_layernorm.weight": (hidden,),
        }
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocabulary, hidden)
    return shapes


def _gpt2_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden = config["n_embd"]
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (config["vocab_size"], hidden),
        "transformer.wpe.weight": (config["n_positions"], hidden),
    }
    for layer in range(config["n_layer"]):
        prefix = f"transformer.h.{layer}"
        for name, wide, out in (
            ("attn.c_attn", hidden, 3 * hidden),
            ("attn.c_proj", hidden, hidden),
            ("mlp.c_fc", hidden, 4 * hidden),
            ("mlp.c_proj", 4 * hidden, hidden),
        ):
            # GPT-2 keeps its matrices as (input, output).
            shapes |= {f"{prefix}.{name}.weight": (wide, out), f"{prefix}.{name}.bias": (out,)}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"{prefix}.{name}.weight": (hidden,), f"{prefix}.{name}.bias": (hidden,)}
    return shapes | {"transformer.ln_f.weight": (hidden,), "transformer.ln_f.bias": (hidden,)}


def _is_norm(name: str) -> bool:
    return name.endswith(("norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight"))


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
