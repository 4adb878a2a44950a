"""What a folder of weights is, or why it is refused; read without loading anything."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_workspace import ModelWorkspace, Remembered
from safetensors.numpy import load_file, save_file
from tiny_models import Kind, tiny_weights

from engine.errors import EngineError, InvalidInputError, NotFoundError, UnsafeError
from engine.models.add import add
from engine.models.weights import buildable_architectures, context_length, inspect_weights, licence_from_card


def edit(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: entry for key, entry in value.items() if entry is not None}))


@pytest.mark.parametrize(
    ("kind", "parameters", "architecture"),
    [("llama", 98_560, "LlamaForCausalLM"), ("qwen2", 98_816, "Qwen2ForCausalLM"), ("gpt2", 140_992, "GPT2LMHeadModel")],
)
def test_facts_come_from_headers_and_configuration(tmp_path: Path, kind: Kind, parameters: int, architecture: str) -> None:
    facts = inspect_weights(tiny_weights(tmp_path / "m", kind, context=256))
    assert (facts.parameters, facts.architecture, facts.context_length) == (parameters, architecture, 256)
    assert (facts.precision, facts.files) == ("fp32", ("model.safetensors",))


def test_tied_weights_and_old_buffers_are_not_counted(tmp_path: Path) -> None:
    folder = tiny_weights(tmp_path / "m", "gpt2")
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].copy()
    tensors["transformer.h.0.attn.bias"] = np.ones((1, 1, 512, 512), np.float32)
    save_file(tensors, folder / "model.safetensors")
    assert inspect_weights(folder).parameters == 157_376


def test_untied_weights_are_counted_twice(tmp_path: Path) -> None:
    tied = inspect_weights(tiny_weights(tmp_path / "tied")).parameters
    untied = inspect_weights(tiny_weights(tmp_path / "untied", tied=False)).parameters
    vocabulary = json.loads((tmp_path / "tied" / "config.json").read_text())["vocab_size"]
    assert untied == (tied or 0) + vocabulary * 64


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pipe(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "other.safetensors")  # opening it would wait for ever


def header(folder: Path, **changes: Any) -> None:
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | changes
    text = json.dumps({"a": tensor}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"1234")


def claims_too_much(folder: Path) -> None:
    header(folder, shape=[1 << 62, 1 << 62])


def odd_type(folder: Path) -> None:
    header(folder, dtype=["F32"])


def negative(folder: Path) -> None:
    header(folder, shape=[-1])


def nonsense(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"<html>sign in</html>" * 10)


def huge_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")


def missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))


def shard_outside(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../x.safetensors"}}))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def pickled_checkpoint(folder: Path) -> None:
    empty(folder)
    (folder / "consolidated.00.pth").write_bytes(b"x")


def custom_code(folder: Path) -> None:
    edit(folder / "config.json", model_type="mine", auto_map={"AutoModelForCausalLM": "mine.Model"})


def encoder(folder: Path) -> None:
    edit(folder / "config.json", architectures=["BertForMaskedLM"], model_type="bert")


def translator(folder: Path) -> None:
    edit(folder / "config.json", architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True)


def nameless(folder: Path) -> None:
    edit(folder / "config.json", architectures=None)


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def config_of_a_list(folder: Path) -> None:
    (folder / "config.json").write_text("[1]")


def adapter(folder: Path) -> None:
    """As peft saves one: its own configuration and weights, often with the tokenizer."""
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/Base", "peft_type": "LORA"}))


def adapter_with_the_bases_config(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")


def pickled_adapter(folder: Path) -> None:
    adapter(folder)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (adapter, InvalidInputError, "is an adapter for org/Base, not a model"),
        (adapter_with_the_bases_config, InvalidInputError, "is an adapter for another model"),
        (pickled_adapter, InvalidInputError, "is an adapter for org/Base, not a model"),
        (empty, InvalidInputError, "is no model: it has no config.json"),
        (cut, InvalidInputError, "damaged or half downloaded"),
        (nonsense, InvalidInputError, "damaged or half downloaded"),
        (huge_header, InvalidInputError, "damaged or half downloaded"),
        (missing_shard, InvalidInputError, r"half downloaded: model-00002-of-00002.safetensors is missing \(1 of 2"),
        (shard_outside, InvalidInputError, "outside its folder"),
        (pickled, UnsafeError, r"Python pickle \(pytorch_model.bin\)"),
        (pickled_checkpoint, UnsafeError, r"Python pickle \(consolidated.00.pth\)"),
        (custom_code, UnsafeError, "needs Python code that came with it"),
        (encoder, InvalidInputError, "no causal language model: its architecture is BertForMaskedLM"),
        (translator, InvalidInputError, "encoder-decoder"),
        (nameless, InvalidInputError, "not named in config.json"),
        (no_tokenizer, InvalidInputError, "has no tokenizer"),
        (no_weights, InvalidInputError, "no weights"),
        (broken_config, InvalidInputError, "cannot be read"),
        (config_of_a_list, InvalidInputError, "no JSON object"),
        (pipe, InvalidInputError, "no weights"),
        (claims_too_much, InvalidInputError, "makes no sense"),
        (odd_type, InvalidInputError, "makes no sense"),
        (negative, InvalidInputError, "makes no sense"),
    ],
)
def test_what_cannot_be_used_is_refused_and_leaves_nothing(
    place: ModelWorkspace, tmp_path: Path, spoil: Any, kind: type[EngineError], words: str
) -> None:
    folder = tiny_weights(tmp_path / "model")
    spoil(folder)
    with pytest.raises(kind, match=words) as caught:
        add(folder, place.workspace, place.database, Remembered())
    assert caught.value.hint
    assert place.model_folders() == set()
    assert place.models.all() == []


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("model.pt", b"x", UnsafeError),
        ("model.ckpt", b"x", UnsafeError),
        ("model.pkl", b"x", UnsafeError),
        ("model.safetensors", b"x", InvalidInputError),
        ("notes.txt", b"x", InvalidInputError),
        ("model.gguf", b"x", InvalidInputError),
        ("model.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1, 1), InvalidInputError),
        ("model.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60), InvalidInputError),
        ("model.gguf", b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62), InvalidInputError),
        ("model.gguf", b"GGUF" + struct.pack("<IQQ", 99, 0, 0), InvalidInputError),
        ("model.gguf", b"GGUF" + struct.pack("<IQQQ11sIIQI", 3, 0, 1, 11, b"split.count", 9, 4, 1, 7), InvalidInputError),
    ],
)
def test_files_that_are_no_models_are_refused(
    place: ModelWorkspace, tmp_path: Path, name: str, content: bytes, kind: type[EngineError]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind):
        add(tmp_path / name, place.workspace, place.database, Remembered())
    with pytest.raises(NotFoundError):
        add(tmp_path / "nowhere", place.workspace, place.database, Remembered())
    assert place.model_folders() == set()


def test_an_added_folder_is_owned_and_needs_the_original_no_more(place: ModelWorkspace, tmp_path: Path) -> None:
    folder = tiny_weights(tmp_path / "My Model (v1)")
    (folder / "evil.py").write_text("raise SystemExit")
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "evil.Model"})  # a type that transformers knows
    reporter = Remembered()
    record = add(folder, place.workspace, place.database, reporter)
    assert (record.name, record.path) == ("my-model-v1", place.workspace.models / "my-model-v1")
    assert "auto_map" not in json.loads((record.path / "config.json").read_text())
    assert "auto_map" in json.loads((folder / "config.json").read_text())
    assert not (record.path / "evil.py").exists()
    assert "files copied into the workspace" in reporter.text
    with pytest.raises(InvalidInputError, match="already a model named my-model-v1"):
        add(folder, place.workspace, place.database, Remembered())
    assert add(folder, place.workspace, place.database, Remembered(), name="second").name == "second"


def test_an_adapter_beside_a_whole_model_is_left_behind(place: ModelWorkspace, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = tiny_weights(tmp_path / "model")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/Base", "peft_type": "LORA"}))
    record = add(folder, place.workspace, place.database, Remembered())
    assert not (record.path / "adapter_config.json").exists()
    assert AutoModelForCausalLM.from_pretrained(record.path).config.model_type == "llama"


def hub_snapshot(cache: Path) -> Path:
    """A tiny model as huggingface_hub's cache has it: every file a link to a blob."""
    repository = cache / "models--org--Tiny"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / "0123abc"
    blobs.mkdir(parents=True)
    tiny_weights(snapshot)
    tensors = load_file(snapshot / "model.safetensors") | {"model.padding": np.zeros(5_000_000, np.float32)}
    save_file(tensors, snapshot / "model.safetensors")
    for number, path in enumerate(sorted(snapshot.iterdir())):
        path.rename(blobs / str(number))
        path.symlink_to(Path("..", "..", "blobs", str(number)))
    return snapshot


def test_a_snapshot_of_a_hub_cache_is_taken_in_and_its_big_files_are_linked(place: ModelWorkspace, tmp_path: Path) -> None:
    snapshot = hub_snapshot(tmp_path / "cache")
    (tmp_path / "shortcut").symlink_to(snapshot)
    for number, folder in enumerate((snapshot, tmp_path / "shortcut")):
        reporter = Remembered()
        record = add(folder, place.workspace, place.database, reporter, name=f"model-{number}")
        weights = record.path / "model.safetensors"
        assert not weights.is_symlink() and weights.samefile(snapshot / "model.safetensors")
        assert "1 files linked" in reporter.text


def test_links_inside_a_folder_are_followed(place: ModelWorkspace, tmp_path: Path) -> None:
    folder = tiny_weights(tmp_path / "model")
    (folder / "shared").mkdir()
    (folder / "tokenizer.json").rename(folder / "shared" / "tokenizer.json")
    (folder / "tokenizer.json").symlink_to(Path("shared", "tokenizer.json"))
    (folder / "notes.pdf").symlink_to(tmp_path / "elsewhere")  # no part of the model
    record = add(folder, place.workspace, place.database, Remembered())
    assert not (record.path / "tokenizer.json").is_symlink()


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors"])
def test_a_link_out_of_the_folder_is_refused(place: ModelWorkspace, tmp_path: Path, name: str) -> None:
    folder = tiny_weights(tmp_path / "model")
    secret = tmp_path / "secret"
    (folder / "README.md").write_text("text")
    (folder / name).rename(secret)
    (folder / name).symlink_to(secret)
    with pytest.raises(InvalidInputError, match=f"{name} is a link to {secret}, outside the model's folder"):
        add(folder, place.workspace, place.database, Remembered())
    assert place.model_folders() == set()


def test_a_folder_that_only_looks_like_a_hub_cache_gets_no_further(place: ModelWorkspace, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("key")
    blob_is_link = hub_snapshot(tmp_path / "one")
    (blob_is_link / "README.md").symlink_to(Path("..", "..", "blobs", "readme"))
    (blob_is_link.parents[1] / "blobs" / "readme").symlink_to(tmp_path / "secret")
    blobs_is_link = hub_snapshot(tmp_path / "two")
    (blobs_is_link.parents[1] / "blobs").rename(tmp_path / "moved")
    (blobs_is_link.parents[1] / "blobs").symlink_to(tmp_path / "moved")
    for folder in (blob_is_link, blobs_is_link):
        with pytest.raises(InvalidInputError, match="outside the model's folder"):
            add(folder, place.workspace, place.database, Remembered())


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b", ".hidden", "UPPER", "a b", "x" * 81, "ü"])
def test_names_that_could_lead_out_are_refused(place: ModelWorkspace, tmp_path: Path, name: str) -> None:
    folder = tiny_weights(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="cannot be named"):
        add(folder, place.workspace, place.database, Remembered(), name=name)


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"max_position_embeddings": 8192}, 8192),
        ({"n_positions": 1024}, 1024),
        ({"max_position_embeddings": 131072, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 131072),
        ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4.0}}, 16384),
        (
            {
                "max_position_embeddings": 32768,
                "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
            },
            131072,
        ),
        (
            {
                "max_position_embeddings": 131072,
                "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
            },
            131072,
        ),
        ({"max_position_embeddings": 8192, "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}, 8192),
        ({"text_config": {"max_position_embeddings": 2048}}, 2048),
        ({}, None),
        ({"max_position_embeddings": 10**30}, None),
        ({"max_position_embeddings": -1}, None),
        ({"max_position_embeddings": 64, "rope_scaling": {"type": "linear", "factor": float("inf")}}, 64),
        ({"max_position_embeddings": 64, "rope_scaling": {"type": "linear", "factor": float("nan")}}, 64),
        ({"max_position_embeddings": 64, "rope_scaling": {"rope_type": ["yarn"], "factor": 2}}, 64),
    ],
)
def test_context_length(config: dict[str, Any], length: int | None) -> None:
    assert context_length(config) == length


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\ntext", "apache-2.0"),
        ("---\ntags:\n- a\nlicense: 'mit'\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
        ("---\nlicense: other\n---\n", "other"),
        ("# Title\nlicense: mit\n", ""),
        ("", ""),
    ],
)
def test_licence_comes_from_the_front_matter(tmp_path: Path, card: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(card)
    assert licence_from_card(tmp_path / "README.md") == licence
    assert licence_from_card(tmp_path / "none.md") == ""


def test_the_builders_coverage_is_read_from_the_builder() -> None:
    covered = buildable_architectures()
    assert {"LlamaForCausalLM", "Qwen2ForCausalLM", "Gemma3ForCausalLM", "MistralForCausalLM"} <= set(covered)
    assert "GPT2LMHeadModel" not in covered


def test_a_reference_to_code_beside_a_lone_surrogate_is_taken_out(place: ModelWorkspace, tmp_path: Path) -> None:
    folder = tiny_weights(tmp_path / "model")
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "evil.Model"}, note="\ud800")
    record = add(folder, place.workspace, place.database, Remembered())
    kept = json.loads((record.path / "config.json").read_text())
    assert "auto_map" not in kept and kept["note"] == "\ud800"
