"""Where things lie, and who may read them."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from engine.errors import StorageError
from engine.workspace import Workspace, default_config_file, default_home, short_address


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
@pytest.mark.parametrize("temporary", ["t", "t" * 150])
def test_the_socket_lies_in_the_workspace_and_is_reached_however_long_the_paths_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int, temporary: str
) -> None:
    workspace = Workspace(tmp_path / ("h" * length)).prepare()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        with short_address(workspace.host_socket) as address:
            listener.bind(str(address))
        listener.listen()
        assert stat.S_ISSOCK((workspace.run / "host.sock").stat().st_mode)
        other = tmp_path / temporary
        other.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(other))  # another terminal, with a TMPDIR of its own
        with short_address(workspace.host_socket) as address:
            if address != workspace.host_socket:
                assert mode(address.parents[1]) == 0o700 and address.parents[1].stat().st_uid == os.getuid()
            caller.connect(str(address))
        assert list(other.iterdir()) == [], "nothing is left"


def test_the_platform_says_where_without_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MTNTUI_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    if os.uname().sysname == "Linux":
        assert default_home() == tmp_path / "data" / "mtntui"
        assert default_config_file() == tmp_path / "config" / "mtntui" / "config.toml"
    monkeypatch.setenv("MTNTUI_HOME", str(tmp_path / "home"))
    assert default_config_file() == tmp_path / "home" / "config.toml"
