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


def test_the_hosts_log_is_private_and_does_not_grow_for_ever(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add_tiny_model(home)
    log = home / "logs" / "host.log"
    log.write_bytes(b"old\n" * (1 << 19))
    log.chmod(0o644)
    assert mtntui(home, "ask", "x", "--max-new-tokens", "1").returncode == 3
    mtntui(home, "host", "stop")
    assert log.stat().st_size < 1 << 20 and log.stat().st_mode & 0o777 == 0o600
    log.write_bytes(b"kept\n")
    assert mtntui(home, "ask", "x", "--max-new-tokens", "1").returncode == 3
    mtntui(home, "host", "stop")
    assert log.read_bytes().startswith(b"kept\n")
