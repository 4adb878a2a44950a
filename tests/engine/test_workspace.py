"""Where things lie, and who may read them."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from engine.errors import StorageError
from engine.workspace import Workspace, default_config_file, default_home


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_preparing_makes_folders_for_their_owner_alone(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "deep" / "home")
    assert not workspace.home.exists()
    assert workspace.prepare() is workspace
    workspace.prepare()
    for folder in (workspace.home, workspace.models, workspace.downloads, workspace.run, workspace.log_file.parent):
        assert mode(folder) == 0o700


def test_everything_lies_under_the_home(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for path in (
        workspace.database,
        workspace.models,
        workspace.downloads,
        workspace.log_file,
        workspace.host_log,
        workspace.host_lock,
    ):
        assert path.is_relative_to(tmp_path)


@pytest.mark.parametrize("blocker", ["file", "file/below"])
def test_a_home_that_cannot_be_made_is_explained(tmp_path: Path, blocker: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        Workspace(tmp_path / blocker).prepare()
    assert "MTNTUI_HOME" in caught.value.hint


@pytest.mark.parametrize("length", [10, 200])
def test_the_socket_can_be_bound_however_long_the_home_is(tmp_path: Path, length: int) -> None:
    workspace = Workspace(tmp_path / ("h" * length)).prepare()
    path = workspace.host_socket
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.unlink()
    assert mode(path.parent) == 0o700
    assert path == Workspace(workspace.home).host_socket


def test_two_long_homes_have_two_sockets(tmp_path: Path) -> None:
    one, other = (Workspace(tmp_path / (letter * 200)) for letter in "ab")
    assert one.host_socket != other.host_socket


def test_a_socket_folder_that_others_can_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"mtntui-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StorageError, match="private"):
        Workspace(tmp_path / ("h" * 200)).prepare()


def test_the_platform_says_where_without_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MTNTUI_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    if os.uname().sysname == "Linux":
        assert default_home() == tmp_path / "data" / "mtntui"
        assert default_config_file() == tmp_path / "config" / "mtntui" / "config.toml"
    monkeypatch.setenv("MTNTUI_HOME", str(tmp_path / "home"))
    assert default_config_file() == tmp_path / "home" / "config.toml"
