"""Repositories of the Hub, from a real server on loopback, made into models."""

import json
import socket
import time
from pathlib import Path

import pytest
from hub_server import COMMIT, HubServer
from model_workspace import ModelWorkspace, Remembered
from safetensors.numpy import load_file, save_file
from tiny_models import tiny_graph, tiny_weights

from engine.errors import InvalidInputError, NotFoundError, UnsafeError
from engine.models.errors import DownloadError
from engine.models.hub import Hub, safe_path
from engine.models.hub_pull import pull_repository
from engine.models.pull import pull
from engine.store.models import ModelRecord

CARD = "---\nlicense: apache-2.0\ntags:\n- tiny\n---\n# Tiny\n"


def fetch(place: ModelWorkspace, name: str = "org/Tiny-Model", reporter: Remembered | None = None) -> ModelRecord:
    return pull_repository(Hub(), name, "tiny", place.workspace, place.database, reporter or Remembered())


@pytest.fixture
def repository(hub: HubServer, tmp_path: Path) -> Path:
    folder = tiny_weights(tmp_path / "repository")
    (folder / "README.md").write_text(CARD)
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    hub.repositories["org/Tiny-Model"] = folder
    return folder


def test_weights_arrive_whole_and_nothing_that_is_not_needed(place: ModelWorkspace, hub: HubServer, repository: Path) -> None:
    record = fetch(place)
    assert (record.source, record.revision, record.licence) == ("org/Tiny-Model", COMMIT, "mit")
    assert (record.parameters, record.context_length, record.architecture) == (98_560, 512, "LlamaForCausalLM")
    assert (record.path / "model.safetensors").read_bytes() == (repository / "model.safetensors").read_bytes()
    assert record.details["sha256"].keys() == {"model.safetensors"}
    assert not {"modeling_evil.py", "pytorch_model.bin"} & {*hub.files_asked(), *record.details["files"]}
    assert place.downloads() == set()


def test_a_break_in_the_middle_is_gone_on_with_by_the_next_pull(
    place: ModelWorkspace, hub: HubServer, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.models.downloads._ATTEMPTS", 1)
    hub.break_after = [100_000, 0]
    with pytest.raises(DownloadError, match="the connection broke off"):
        fetch(place)
    assert place.models.find("tiny") is None
    hub.break_after, before = [], len(hub.seen)
    assert fetch(place).size_bytes > 0
    assert [(path.rpartition("/")[2], asked) for path, asked, _ in hub.seen[before + 1 :]] == [
        ("model.safetensors", "bytes=100000-")
    ]


def test_a_changed_file_is_refused(place: ModelWorkspace, hub: HubServer, repository: Path) -> None:
    hub.spoiled = {"model.safetensors"}
    with pytest.raises(InvalidInputError, match=r"model\.safetensors is not the file that was expected"):
        fetch(place)
    hub.spoiled = {"config.json"}  # no LFS file: checked by git's own hash
    with pytest.raises(InvalidInputError, match=r"not the file that was expected|cannot be read"):
        fetch(ModelWorkspace(place.workspace.home / "other"))


def test_shards_are_fetched_as_the_index_names_them(place: ModelWorkspace, hub: HubServer, repository: Path) -> None:
    tensors = load_file(repository / "model.safetensors")
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for file, keys in halves.items():
        save_file({key: tensors[key] for key in keys}, repository / file)
    (repository / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {key: file for file, keys in halves.items() for key in keys}}
    (repository / "model.safetensors.index.json").write_text(json.dumps(index))
    record = fetch(place)
    assert record.parameters == 98_560
    assert set(halves) <= set(record.details["files"])


def test_a_gated_repository_says_what_to_do(
    place: ModelWorkspace, hub: HubServer, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = {"org/Tiny-Model"}
    with pytest.raises(DownloadError, match="org/Tiny-Model is gated") as caught:
        fetch(place)
    assert "HF_TOKEN" in caught.value.hint
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert fetch(place).name == "tiny"


def test_the_token_stays_with_the_hub(
    place: ModelWorkspace, hub: HubServer, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    with HubServer(repositories=hub.repositories) as storage:
        hub.storage = storage.url
        fetch(place)
        assert {token for _, _, token in hub.seen} == {f"Bearer {hub.token}"}
        assert storage.seen and {token for _, _, token in storage.seen} == {""}


def test_what_is_not_there_is_said(place: ModelWorkspace, hub: HubServer, repository: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no org/None on 127\.0\.0\.1, or it is private"):
        fetch(place, "org/None")
    with pytest.raises(NotFoundError, match="no such revision"):
        pull("org/Tiny-Model", place.workspace, place.database, Remembered(), revision="nope")
    with pytest.raises(NotFoundError, match="Known names: smollm2-135m"):
        pull("smollm3", place.workspace, place.database, Remembered())
    with pytest.raises(InvalidInputError, match="no model of the Hub"):
        fetch(place, "../../etc/passwd")


def test_code_and_pickles_are_refused_before_the_weights_are_fetched(
    place: ModelWorkspace, hub: HubServer, repository: Path
) -> None:
    config = json.loads((repository / "config.json").read_text())
    custom = config | {"model_type": "evil", "auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}}
    (repository / "config.json").write_text(json.dumps(custom))
    with pytest.raises(UnsafeError, match="auto_map"):
        fetch(place)
    assert "model.safetensors" not in hub.files_asked()
    (repository / "model.safetensors").unlink()
    with pytest.raises(UnsafeError, match="can run any code"):
        fetch(place)


def test_an_onnx_folder_for_the_cpu_is_preferred(place: ModelWorkspace, hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "onnx"
    for name in ("gpu/cuda-int4", "cpu_and_mobile/cpu-int4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tiny_graph(tmp_path / name.replace("/", "-")).rename(folder / name)
    hub.repositories["org/Tiny-Model"] = folder
    record = fetch(place)
    assert (record.format, record.precision, record.context_length, record.chats) == ("onnx", "int4", 512, True)
    assert {path.rpartition("/")[0] for path in hub.files_asked()} == {"cpu_and_mobile/cpu-int4"}


def test_a_hub_that_may_not_or_cannot_be_asked_is_noticed_at_once(
    place: ModelWorkspace, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = time.monotonic()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        fetch(place)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://no-such-host.invalid")
    with pytest.raises(DownloadError, match=r"no-such-host\.invalid cannot be reached"):
        fetch(place)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="the connection was refused"):
        fetch(place)
    assert hub.seen == []
    assert time.monotonic() - begin < 25


def test_a_hub_that_accepts_but_never_answers_is_given_up_on(
    place: ModelWorkspace, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        begin = time.monotonic()
        with pytest.raises(DownloadError, match="no answer in time"):
            Hub().repository("org/name", patience=1)
        assert time.monotonic() - begin < 3


def test_a_proxys_refusal_is_not_taken_for_a_gate(hub: HubServer, repository: Path) -> None:
    hub.forbids = True
    with pytest.raises(DownloadError, match="answered 403") as caught:
        Hub().repository("org/Tiny-Model")
    assert "proxy" in caught.value.hint


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a\\..\\x", "", "a\0b"])
def test_paths_that_lead_out_are_refused(path: str) -> None:
    with pytest.raises(InvalidInputError, match="outside its folder"):
        safe_path(path)


@pytest.mark.slow
def test_pull_builds_the_graph_and_is_idempotent(place: ModelWorkspace, hub: HubServer, repository: Path) -> None:
    record = pull("org/Tiny-Model", place.workspace, place.database, Remembered())
    assert (record.name, record.parent, record.chats) == ("tiny-model-int4", "tiny-model", True)
    before, reporter = len(hub.seen), Remembered()
    assert pull("org/Tiny-Model", place.workspace, place.database, reporter) == record
    assert len(hub.seen) == before
    assert reporter.lines == ["tiny-model is already here", "tiny-model-int4 is already here"]
    with pytest.raises(InvalidInputError, match="already a model named tiny-model"):
        pull("other/Tiny-Model", place.workspace, place.database, Remembered())
