"""GGUF files become safetensors with the metadata put right."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from model_workspace import ModelWorkspace, Remembered
from safetensors.numpy import load_file
from tiny_gguf import tiny_gguf
from tiny_models import CHAT_TEMPLATE, tiny_weights

from engine.errors import InvalidInputError
from engine.models.add import add
from engine.models.conversion import MIXED_TEXT, put_metadata_right
from engine.models.gguf_files import read_gguf


@pytest.mark.slow
def test_a_gguf_file_becomes_the_weights_that_it_was_made_of(place: ModelWorkspace, tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path / "weights")
    file = tiny_gguf(weights, tmp_path / "Tiny.F32.gguf")
    record = add(file, place.workspace, place.database, Remembered())
    assert (record.name, record.parameters, record.precision, record.licence) == ("tiny.f32", 98_560, "fp32", "mit")
    assert record.details["converted_from"] == "Tiny.F32.gguf"

    expected, got = load_file(weights / "model.safetensors"), load_file(record.path / "model.safetensors")
    assert expected.keys() == got.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(got[name], tensor, err_msg=name)

    config = json.loads((record.path / "config.json").read_text())
    generation = json.loads((record.path / "generation_config.json").read_text())
    settings = json.loads((record.path / "tokenizer_config.json").read_text())
    assert (config["eos_token_id"], config["pad_token_id"], config["bos_token_id"]) == (2, 0, 1)
    assert generation == {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    assert (settings["eos_token"], settings["pad_token"]) == ("<|im_end|>", "<|endoftext|>")
    assert (settings["tokenizer_class"], settings["clean_up_tokenization_spaces"]) == ("TokenizersBackend", False)
    assert (record.path / "chat_template.jinja").read_text() == CHAT_TEMPLATE

    ours = tokenizers.Tokenizer.from_file(str(record.path / "tokenizer.json"))
    original = tokenizers.Tokenizer.from_file(str(weights / "tokenizer.json"))
    assert ours.decode(ours.encode(MIXED_TEXT).ids) == MIXED_TEXT
    assert ours.encode(MIXED_TEXT).ids == original.encode(MIXED_TEXT).ids


@pytest.mark.slow
def test_files_of_other_models_beside_a_gguf_have_no_say(place: ModelWorkspace, tmp_path: Path) -> None:
    file = tiny_gguf(tiny_weights(tmp_path / "weights"), tmp_path / "downloads.gguf")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    record = add(file, place.workspace, place.database, Remembered())
    assert "do_lower_case" not in json.loads((record.path / "tokenizer_config.json").read_text())
    ours = tokenizers.Tokenizer.from_file(str(record.path / "tokenizer.json"))
    assert ours.decode(ours.encode("Upper CASE").ids) == "Upper CASE"
    assert not (record.path / ".source").exists()


def test_a_cut_gguf_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    data = tiny_gguf(tiny_weights(tmp_path / "weights"), tmp_path / "whole.gguf").read_bytes()
    assert read_gguf(tmp_path / "whole.gguf").parameters == 98_560
    for length in [3, 10, 24, 100, 2000, len(data) // 2, len(data) - 64]:
        (tmp_path / "cut.gguf").write_bytes(data[:length])
        with pytest.raises(InvalidInputError):
            read_gguf(tmp_path / "cut.gguf")


def prepared(folder: Path, tokens: list[str]) -> Path:
    folder.mkdir()
    added = [{"id": number, "content": token} for number, token in enumerate(tokens)]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 64, "_name_or_path": "/somebody/s/home"}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"is_local": True}))
    return folder


@pytest.mark.parametrize(
    ("tokens", "template", "claims", "ends", "pad"),
    [
        # SmolLM2 as transformers once read it: the end was the token that opens a turn.
        (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|im_start|>x<|im_end|>", (1, 1, 2), 2, 0),
        # Qwen's base file: texts end with one token, turns with another; both end a reply.
        (["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"], "<|im_end|>", (None, 0, 0), [0, 2], 3),
        # Llama 3: a padding token of its own.
        (["<|bot|>", "<|eot_id|>", "<|finetune_right_pad_id|>"], "<|eot_id|>", (0, 1, None), 1, 2),
        # A padding token that is right already stays.
        (["<s>", "</s>", "<pad>"], "", (0, 1, 2), 1, 2),
        # Nothing else to pad with: the end, as the last resort.
        (["<s>", "</s>"], "", (0, 1, None), 1, 1),
    ],
)
def test_what_begins_ends_and_pads(
    tmp_path: Path, tokens: list[str], template: str, claims: tuple[int | None, ...], ends: Any, pad: int
) -> None:
    folder = prepared(tmp_path / "m", tokens)
    keys = [f"tokenizer.ggml.{name}_token_id" for name in ("bos", "eos", "padding")]
    metadata = {key: value for key, value in zip(keys, claims, strict=True) if value is not None}
    put_metadata_right(folder, metadata | {"tokenizer.chat_template": template})
    for name in ("config.json", "generation_config.json"):
        value = json.loads((folder / name).read_text())
        assert (value["eos_token_id"], value["pad_token_id"]) == (ends, pad)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert settings["pad_token"] == tokens[pad]
    assert settings["model_max_length"] == 64
    assert "is_local" not in settings
    assert "somebody" not in (folder / "config.json").read_text()
