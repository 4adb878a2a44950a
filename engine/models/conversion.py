"""GGUF to safetensors, by transformers, with the metadata put right. Runs in the worker: it imports torch."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

from engine.errors import InvalidInputError
from engine.models.gguf_files import read_gguf
from engine.models.safetensors_files import read_json
from engine.progress import Progress, Reporter

MIXED_TEXT = (
    "Hello , world ! It's 3.14 o'clock… don't “quote” me?\n\n\tdef f(x):\n\t\treturn x**2  # two  spaces\n"
    "naïve café — Zürich, 你好，世界。こんにちは 안녕 🙂👩‍👩‍👧 ½ №7 1234567890 {}[]<>|\\~`"
)
"""Text that tells a tokenizer which gives everything back from one that eats spaces or bytes."""

_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<turn|>", "<|end|>", "<|end_of_turn|>", "<|eom_id|>", "<|return|>")
_PADS = ("<|endoftext|>", "<|finetune_right_pad_id|>", "<pad>", "<|pad|>", "[PAD]", "<unk>")


def gguf_to_safetensors(gguf: Path, target: Path, reporter: Reporter) -> dict[str, Any]:
    """Write the model of a GGUF file as float32 safetensors with its tokenizer and configuration.

    Args:
        target: an empty folder.

    Raises:
        InvalidInputError: transformers cannot read this architecture, or the tokenizer does not give text back.
    """
    reporter.progress(Progress("reading the GGUF file"))
    metadata = read_gguf(gguf).metadata
    import torch
    import transformers

    _read_each_header_once()
    # transformers looks for configurations beside the file it is given; in a folder of downloads they are another model's.
    alone = target / ".source"
    alone.mkdir()
    (alone / gguf.name).symlink_to(gguf.absolute())
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            alone,
            gguf_file=gguf.name,
            dtype=torch.float32,
            quantization_config=transformers.GgufConfig(dequantize=True),  # without it the model cannot be saved
            trust_remote_code=False,
            local_files_only=True,
        )
        reporter.progress(Progress("reading the tokenizer"))
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            alone, gguf_file=gguf.name, trust_remote_code=False, local_files_only=True
        )
    except (ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        kind = metadata.get("general.architecture", "unknown")
        raise InvalidInputError(
            f"{gguf.name} (architecture {kind}) cannot be read by transformers {transformers.__version__}: {error}.",
            "Use a safetensors version of the model.",
        ) from error
    reporter.progress(Progress("writing the weights"))
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    shutil.rmtree(alone)
    put_metadata_right(target, metadata)
    check_round_trip(target, reporter)
    return {}


def _read_each_header_once() -> None:
    """transformers reads a GGUF's header three times, and its table of names once per module; that is half of the time."""
    import gguf

    gguf.GGUFReader = functools.lru_cache(maxsize=1)(gguf.GGUFReader)
    gguf.get_tensor_name_map = functools.lru_cache(maxsize=4)(gguf.get_tensor_name_map)


def put_metadata_right(folder: Path, metadata: dict[str, Any]) -> None:
    """Make configuration, generation configuration and tokenizer agree on what begins, ends and pads a text.

    The end is the GGUF's own end token, and the token that its chat template ends a turn with where that is another. Padding
    is a token that is neither: a model trained with padding that equals its end of turn would learn never to stop.
    """
    vocabulary = _special_tokens(folder)
    template = str(metadata.get("tokenizer.chat_template", ""))
    bos = metadata.get("tokenizer.ggml.bos_token_id")
    ends = _ends(vocabulary, template, metadata.get("tokenizer.ggml.eos_token_id"), bos)
    pad = _padding(vocabulary, template, metadata.get("tokenizer.ggml.padding_token_id"), ends)
    names = {number: token for token, number in vocabulary.items()}
    ids = {"bos_token_id": bos, "eos_token_id": ends[0] if len(ends) == 1 else ends or None, "pad_token_id": pad}

    config = read_json(folder / "config.json")
    config.pop("_name_or_path", None)
    config.pop("_model_name_or_path", None)
    _write(folder / "config.json", config | ids)
    _write(folder / "generation_config.json", {key: value for key, value in ids.items() if value is not None})

    tokenizer = read_json(folder / "tokenizer_config.json")
    for key in ("is_local", "local_files_only", "name_or_path"):
        tokenizer.pop(key, None)
    for key, number in (("bos_token", bos), ("eos_token", ends[0] if ends else None), ("pad_token", pad)):
        if number in names:
            tokenizer[key] = names[number]
    # Any other class builds a pre-tokenizer of its own instead of tokenizer.json's; cleaning up eats spaces before punctuation.
    tokenizer |= {"tokenizer_class": "TokenizersBackend", "clean_up_tokenization_spaces": False}
    if isinstance(length := config.get("max_position_embeddings"), int):
        tokenizer["model_max_length"] = length
    _write(folder / "tokenizer_config.json", tokenizer)


def _ends(vocabulary: dict[str, int], template: str, eos: int | None, bos: int | None) -> list[int]:
    turns = [vocabulary[token] for token in _TURN_ENDS if token in template and token in vocabulary]
    if eos is not None and eos == bos and turns:
        eos = None  # a token that opens texts or turns cannot end them, whatever the file says
    # One is enough of the turn ends: the first that the template knows.
    return list(dict.fromkeys(number for number in (eos, *turns[:1]) if number is not None))


def _padding(vocabulary: dict[str, int], template: str, pad: int | None, ends: list[int]) -> int | None:
    names = {number: token for token, number in vocabulary.items()}
    if pad is not None and pad not in ends and names.get(pad, "") not in template:
        return pad
    for token in _PADS:
        if token in vocabulary and vocabulary[token] not in ends and token not in template:
            return vocabulary[token]
    return pad if pad is not None else (ends[0] if ends else None)


def _special_tokens(folder: Path) -> dict[str, int]:
    added = read_json(folder / "tokenizer.json").get("added_tokens", [])
    return {str(token["content"]): int(token["id"]) for token in added}


def check_round_trip(folder: Path, reporter: Reporter) -> None:
    """See whether text comes back from the tokenizer as it went in.

    Raises:
        InvalidInputError: it does not, although the tokenizer works on bytes and has to.
    """
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    back = tokenizer.decode(tokenizer.encode(MIXED_TEXT, add_special_tokens=False).ids, skip_special_tokens=False)
    if back == MIXED_TEXT:
        return
    decoder = json.dumps(read_json(folder / "tokenizer.json").get("decoder"))
    if '"ByteLevel"' in decoder and tokenizer.normalizer is None:
        raise InvalidInputError(
            "The tokenizer does not give text back as it went in, so the file is damaged or of a kind that is not known.",
            "Use a safetensors version of the model.",
        )
    reporter.log("the tokenizer normalises text: it does not come back byte for byte")


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
