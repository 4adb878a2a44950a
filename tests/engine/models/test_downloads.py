"""Downloads: resumed, checked, stopped; against a real server on loopback."""

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import HubServer
from model_workspace import Remembered

from engine.errors import EngineError, InvalidInputError, NotFoundError, StorageError
from engine.models.downloads import Wanted, byte_progress, download, file_digest
from engine.models.errors import DownloadError, StoppedError
from engine.models.web import open_url

DATA = os.urandom(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HubServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "model.bin").write_bytes(DATA)
    with HubServer(repositories={"org/name": folder}) as server:
        yield server


def wanted(server: HubServer, **changes: object) -> Wanted:
    fields: dict[str, object] = {"url": f"{server.url}/org/name/resolve/main/model.bin", "size": len(DATA), "digest": SHA256}
    return Wanted(**(fields | changes))  # type: ignore[arg-type]


def fetch(want: Wanted, target: Path, reporter: Remembered | None = None) -> Path:
    reporter = reporter or Remembered()
    return download(want, target, reporter, on_bytes=byte_progress(reporter, "downloading", want.size))


def test_a_broken_connection_is_gone_on_with_from_where_it_broke(server: HubServer, tmp_path: Path) -> None:
    server.break_after = [1_000_000, 500_000]
    reporter = Remembered()
    target = fetch(wanted(server), tmp_path / "model.bin", reporter)
    assert target.read_bytes() == DATA
    assert [asked for _, asked, _ in server.seen] == ["", "bytes=1000000-", "bytes=1500000-"]
    assert "broke off" in reporter.text
    assert reporter.steps[-1].done == len(DATA)
    assert not (tmp_path / "model.bin.part").exists()


def test_a_part_of_an_earlier_run_is_gone_on_with(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "model.bin.part").write_bytes(DATA[:2_000_000])
    assert fetch(wanted(server), tmp_path / "model.bin").read_bytes() == DATA
    assert [asked for _, asked, _ in server.seen] == ["bytes=2000000-"]


def test_a_whole_part_is_checked_without_asking_the_server(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "model.bin.part").write_bytes(DATA)
    assert fetch(wanted(server), tmp_path / "model.bin").read_bytes() == DATA
    assert server.seen == []


def test_a_server_without_ranges_starts_over_cleanly(server: HubServer, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "model.bin.part").write_bytes(b"x" * 2_000_000)
    assert fetch(wanted(server), tmp_path / "model.bin").read_bytes() == DATA


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_part_that_is_too_long_starts_over(server: HubServer, tmp_path: Path, size: int | None) -> None:
    (tmp_path / "model.bin.part").write_bytes(DATA + b"more")
    assert fetch(wanted(server, size=size), tmp_path / "model.bin").read_bytes() == DATA


def test_a_break_is_noticed_although_the_size_is_not_known(server: HubServer, tmp_path: Path) -> None:
    server.break_after = [1_000_000]
    assert fetch(wanted(server, size=None, digest=""), tmp_path / "model.bin").read_bytes() == DATA


def test_a_wrong_hash_deletes_the_part_and_says_so(server: HubServer, tmp_path: Path) -> None:
    server.spoiled = {"model.bin"}
    with pytest.raises(InvalidInputError, match=r"model.bin is not the file that was expected: its hash is .* It was deleted"):
        fetch(wanted(server), tmp_path / "model.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["served"]


def test_a_damaged_part_is_found_out_and_the_next_try_succeeds(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "model.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(InvalidInputError):
        fetch(wanted(server), tmp_path / "model.bin")
    assert fetch(wanted(server), tmp_path / "model.bin").read_bytes() == DATA


def test_a_stop_keeps_the_part(server: HubServer, tmp_path: Path) -> None:
    reporter = Remembered(stop_when=lambda step: step.done > 0)
    with pytest.raises(StoppedError):
        fetch(wanted(server), tmp_path / "model.bin", reporter)
    part = tmp_path / "model.bin.part"
    assert part.read_bytes() == DATA[: part.stat().st_size] != b""


def test_what_is_not_there_is_not_asked_for_again(server: HubServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404") as caught:
        fetch(wanted(server, url=f"{server.url}/org/name/resolve/main/other.bin"), tmp_path / "other.bin")
    assert caught.value.status == 404
    assert len(server.seen) == 1


def test_a_refused_connection_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.models.downloads._ATTEMPTS", 1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        with pytest.raises(DownloadError, match="the connection was refused"):
            fetch(Wanted(url), tmp_path / "x")


def test_a_file_address_is_copied_and_checked(tmp_path: Path) -> None:
    (tmp_path / "with space.bin").write_bytes(DATA)
    (tmp_path / "x.part").write_bytes(DATA[:1234])
    url = (tmp_path / "with space.bin").as_uri()
    assert fetch(Wanted(url, len(DATA), SHA256), tmp_path / "x").read_bytes() == DATA
    with pytest.raises(InvalidInputError):
        fetch(Wanted(url, len(DATA), "0" * 64), tmp_path / "y")
    with pytest.raises(NotFoundError):
        fetch(Wanted((tmp_path / "none").as_uri()), tmp_path / "z")


def test_a_folder_that_cannot_be_written_is_a_storage_error(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="could not be written"):
        fetch(wanted(server), tmp_path / "file" / "model.bin")


def test_a_full_disk_is_a_storage_error(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "model.bin.part").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="The disk is full"):
        fetch(wanted(server), tmp_path / "model.bin")


def test_git_hashes_are_those_of_git(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello\n")
    assert file_digest(tmp_path / "x", "git") == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object


def test_a_password_in_an_address_is_in_no_error(tmp_path: Path) -> None:
    for url in ("http://user:hunter2@127.0.0.1/x", "https://user:hunter2@127.0.0.1/x", "ftp://user:hunter2@127.0.0.1/x"):
        with pytest.raises(EngineError) as caught:
            open_url(url, timeout=1)
        assert "hunter2" not in str(caught.value)


def test_an_address_that_is_no_ascii_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no web address"):
        open_url("http://127.0.0.1/modèle", timeout=1)
