"""Folders of weights: what they are, or why they are refused."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InvalidInputError, UnsafeError
from engine.models.safetensors_files import read_json, summarise, weight_files

PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
"""Endings of files that Python unpickles, and that can so run any code."""

ADAPTER = "adapter_config.json"
"""What makes transformers and peft take a folder for an adapter."""

_CAUSAL = ("ForCausalLM", "LMHeadModel")
_LENGTH_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "max_seq_len", "seq_length")
_LONGEST = 1 << 31  # tokens
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")


@dataclass(frozen=True, slots=True)
class WeightsFacts:
    """What a folder of weights is.

    Attributes:
        files: the safetensors files.
        parameters: weights, or None where packed formats hide their number.
        context_length: in tokens, or None where the configuration does not tell.
    """

    architecture: str
    files: tuple[str, ...]
    parameters: int | None
    precision: str
    context_length: int | None
    licence: str


def inspect_weights(folder: Path) -> WeightsFacts:
    """Look at a folder of weights without loading it.

    Raises:
        InvalidInputError: it is no model, half downloaded, or of a kind that cannot be chatted with.
        UnsafeError: it has pickled weights alone, or needs its author's code to run.
    """
    config = check_config(folder)
    files = weight_files(folder)
    if not files:
        refuse_adapters(folder)
        refuse_pickles(folder.name, (path.name for path in folder.iterdir()))
        raise InvalidInputError(f"{folder} has a config.json but no weights (*.safetensors).", "Finish the download.")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise InvalidInputError(f"{folder} has no tokenizer (tokenizer.json).", "Finish the download.")
    summary = summarise(folder, files, tied=bool(config.get("tie_word_embeddings")))
    return WeightsFacts(
        architecture=architecture_of(config),
        files=files,
        parameters=None if "quantization_config" in config else summary.parameters,
        precision=summary.precision,
        context_length=context_length(config),
        licence=licence_from_card(folder / "README.md"),
    )


def check_config(folder: Path) -> dict[str, Any]:
    """A folder's config.json, if it is that of a causal language model that needs no code of its author.

    Raises:
        InvalidInputError, UnsafeError: as `inspect_weights`.
    """
    path = folder / "config.json"
    if not path.is_file():
        refuse_adapters(folder)
        refuse_pickles(folder.name, (entry.name for entry in folder.iterdir()))
        raise InvalidInputError(
            f"{folder} is no model: it has no config.json.",
            "Give a folder with config.json and *.safetensors, an ONNX folder with genai_config.json, or a .gguf file.",
        )
    config = read_json(path)
    architecture = architecture_of(config)
    if "auto_map" in config and not _known_to_transformers(str(config.get("model_type", ""))):
        raise UnsafeError(
            f"{folder.name} needs Python code that came with it (auto_map in config.json), which is never run here.",
            "Use a model whose architecture transformers knows.",
        )
    if config.get("is_encoder_decoder"):
        raise InvalidInputError(
            f"{folder.name} is an encoder-decoder model ({architecture}); only causal language models can chat.",
            "Use a model whose architecture ends in ForCausalLM.",
        )
    if not architecture.endswith(_CAUSAL) and architecture not in buildable_architectures():
        raise InvalidInputError(
            f"{folder.name} is no causal language model: its architecture is {architecture or 'not named in config.json'}.",
            "Use a model whose architecture ends in ForCausalLM.",
        )
    return config


def refuse_adapters(folder: Path) -> None:
    """Refuse a folder that holds an adapter (LoRA, say) and no model of its own.

    Raises:
        InvalidInputError: it does; the message names the model that the adapter changes, where it tells.
    """
    path = folder / ADAPTER
    if not path.is_file():
        return
    base = read_json(path).get("base_model_name_or_path")
    raise InvalidInputError(
        f"{folder} is an adapter for {base if isinstance(base, str) and base else 'another model'}, not a model.",
        "Merge it into that model (peft's merge_and_unload), save the result as safetensors, and take that in.",
    )


def refuse_pickles(name: str, files: Iterable[str]) -> None:
    """Refuse a model whose weights are pickled.

    Raises:
        UnsafeError: there is a pickled file among `files`.
    """
    if pickled := sorted(file for file in files if Path(file).suffix.lower() in PICKLES):
        raise UnsafeError(
            f"{name} has its weights as a Python pickle ({pickled[0]}), which can run any code when it is loaded.",
            "Use a safetensors or GGUF version of the model.",
        )


def architecture_of(config: dict[str, Any]) -> str:
    """transformers' class name that a configuration gives, or ""."""
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


def context_length(config: dict[str, Any]) -> int | None:
    """How many tokens a model can read at once, its RoPE scaling included."""
    inner = config.get("text_config")
    if isinstance(inner, dict):
        config = config | inner
    lengths = [config[key] for key in _LENGTH_KEYS if _is_length(config.get(key))]
    if not lengths:
        return None
    length: int = lengths[0]
    scaling = config.get("rope_scaling") or config.get("rope_parameters")
    if not isinstance(scaling, dict):
        return length
    kind, factor = scaling.get("rope_type", scaling.get("type")), scaling.get("factor")
    if not isinstance(factor, int | float) or not 0 < factor < _LONGEST or kind not in ("yarn", "linear", "dynamic"):
        return length  # "llama3" and "longrope" give the scaled length as max_position_embeddings
    original = scaling.get("original_max_position_embeddings")
    if isinstance(original, int) and _is_length(original):
        return max(length, int(original * factor))
    return int(length * factor)


def _is_length(value: Any) -> bool:
    """Whether a configuration's value can be a number of tokens: some write 10^30 for "no limit"."""
    return type(value) is int and 0 < value < _LONGEST


def licence_from_card(card: Path) -> str:
    """The licence that a model card's front matter names; "" without one."""
    if not card.is_file():
        return ""
    text = card.read_text(encoding="utf-8", errors="replace")[:50_000]
    front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    if front is None:
        return ""
    found = dict(re.findall(r"^(license|license_name):[ \t]*['\"]?([\w.+-]+)", front[1], re.MULTILINE))
    licence: str = found.get("license", "")
    return str(found.get("license_name", licence)) if licence == "other" else licence


@functools.cache
def buildable_architectures() -> tuple[str, ...]:
    """The architectures that the installed onnxruntime-genai can make a graph of, read from its builder's source."""
    package = importlib.util.find_spec("onnxruntime_genai")
    if package is None or package.origin is None:
        return ()
    source = Path(package.origin).parent / "models" / "builder.py"
    if not source.is_file():
        return ()
    names = set(re.findall(r'architectures\[0\] == "(\w+)"', source.read_text(encoding="utf-8")))
    return tuple(sorted(name for name in names if not name.startswith("Whisper")))


def _known_to_transformers(model_type: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return model_type in CONFIG_MAPPING_NAMES
