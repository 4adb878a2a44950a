"""Which of a repository's files are fetched."""

import pytest

from engine.errors import InvalidInputError, NotFoundError, UnsafeError
from engine.models.hub_choice import choose

WEIGHTS = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md", ".gitattributes"]


def test_safetensors_come_first_and_code_never() -> None:
    paths = [*WEIGHTS, "modeling.py", "pytorch_model.bin", "model.Q8_0.gguf", "onnx/genai_config.json", "onnx/model.onnx"]
    choice = choose("o/n", paths)
    assert (choice.kind, choice.large) == ("safetensors", ("model.safetensors",))
    assert set(choice.small) == {"config.json", "tokenizer.json", "tokenizer_config.json", "README.md"}


@pytest.mark.parametrize(
    ("files", "best"),
    [
        (["m.Q2_K.gguf", "m.Q4_K_M.gguf", "m.Q8_0.gguf", "m.F16.gguf"], "m.Q8_0.gguf"),
        (["m-f16.gguf", "m-q4_0.gguf"], "m-q4_0.gguf"),
        (["m.IQ2_XS.gguf", "m.BF16.gguf"], "m.BF16.gguf"),
        (["m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf", "mmproj-Q8_0.gguf", "m-Q5_K_S.gguf"], "m-Q5_K_S.gguf"),
        (["only.gguf"], "only.gguf"),
    ],
)
def test_among_gguf_files_the_best_that_is_not_wasteful(files: list[str], best: str) -> None:
    choice = choose("o/n", [*files, "README.md"])
    assert (choice.kind, choice.large, choice.small) == ("gguf", (best,), ("README.md",))


def test_a_file_or_a_folder_can_be_named() -> None:
    paths = [
        *WEIGHTS,
        "sub/m.Q4_0.gguf",
        "cuda/genai_config.json",
        "cuda/model.onnx",
        "cuda/model.onnx.data",
        "cuda/tokenizer.json",
    ]
    assert choose("o/n", paths, "sub/m.Q4_0.gguf").large == ("sub/m.Q4_0.gguf",)
    onnx = choose("o/n", paths, "cuda")
    assert (onnx.kind, onnx.large) == ("onnx", ("cuda/model.onnx", "cuda/model.onnx.data"))
    with pytest.raises(NotFoundError) as caught:
        choose("o/n", paths, "m.Q9.gguf")
    assert caught.value.hint == "There are: sub/m.Q4_0.gguf, cuda."


def test_nothing_to_use_is_refused_with_the_reason() -> None:
    with pytest.raises(UnsafeError, match=r"pytorch_model\.bin"):
        choose("o/n", ["config.json", "pytorch_model.bin"])
    with pytest.raises(InvalidInputError, match="no model that can be used"):
        choose("o/n", ["README.md", "notes.txt"])
    for weights in ("adapter_model.safetensors", "adapter_model.bin"):
        with pytest.raises(InvalidInputError, match="is an adapter for another model"):
            choose("o/n", ["README.md", "adapter_config.json", weights])
