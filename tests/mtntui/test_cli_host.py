"""`mtntui host`: one process per workspace, seen and ended."""

from pathlib import Path

import psutil
from cli_program import add_tiny_model, mtntui, mtntui_json


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent to ask does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_there_is_no_host_until_it_is_needed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert mtntui_json(home, "host", "status") == {"running": False}
    assert mtntui_json(home, "host", "stop") == {"stopped": False}
    assert "not running" in mtntui(home, "host", "status").stdout
    assert "was not running" in mtntui(home, "host", "stop").stdout


def test_a_host_is_seen_and_ended(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add_tiny_model(home)
    assert mtntui(home, "ask", "Hello", "--max-new-tokens", "2").returncode == 3
    status = mtntui_json(home, "host", "status")
    assert (status["running"], status["loaded"], status["active"], status["replies"]) == (True, ["tiny"], 0, [])
    assert alive(status["pid"])
    assert f"process {status['pid']}" in mtntui(home, "host", "status").stdout
    assert mtntui_json(home, "host", "stop") == {"stopped": True}
    assert not alive(status["pid"])
    assert mtntui_json(home, "host", "status") == {"running": False}
