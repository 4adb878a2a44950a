"""A job started over SSH goes on when the line is cut."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from job_workspace import DRILL, job_place

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)


@contextmanager
def _server(folder: Path) -> Iterator[list[str]]:
    """An SSH server of our own on loopback; gives the client's command up to the remote command."""
    assert SSHD is not None
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nPermitUserEnvironment no\n"
        "AcceptEnv MTNTUI_* PYTHONPATH\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 10
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, "the SSH server did not start"
                    time.sleep(0.05)
            known = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known", "-o", "LogLevel=ERROR"]
            send = ["-o", "SendEnv=MTNTUI_HOME PYTHONPATH"]
            yield ["ssh", "-F", "none", "-i", str(folder / "user"), "-p", str(port), *known, *send, "127.0.0.1"]
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.skipif(SSHD is None or shutil.which("ssh") is None, reason="there is no SSH server on this machine")
@pytest.mark.skipif(os.geteuid() != 0, reason="an SSH server of one's own that lets one in wants root")
def test_a_job_outlives_the_line_that_it_was_started_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "ssh"
    keys.mkdir(mode=0o700)
    code = f"{DRILL}:{Path(__file__).parents[2]}"
    run = f"exec {sys.executable} -m mtntui jobs run drill --set name=far --set steps=300"
    with job_place(tmp_path / "home", monkeypatch) as place, _server(keys) as ssh:
        environment = os.environ | {"PYTHONPATH": code, "MTNTUI_HOME": str(tmp_path / "home")}
        with subprocess.Popen([*ssh, "-tt", run], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as line:
            deadline = time.monotonic() + 20
            while not (jobs := place.jobs.browse()) or not place.jobs.metrics(jobs[0].id, "loss"):
                assert time.monotonic() < deadline, "the job did not start"
                assert line.poll() is None, line.stdout.read() if line.stdout else ""
                time.sleep(0.05)
            line.send_signal(signal.SIGKILL)
        assert place.jobs.get(jobs[0].id).state == "running"
        again = subprocess.run(
            [*ssh, f"exec {sys.executable} -m mtntui jobs watch {jobs[0].id}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert again.returncode == 0, again.stderr
        done = place.jobs.get(jobs[0].id)
        assert (done.state, done.attempts) == ("succeeded", 1)
        assert [point.step for point in place.jobs.metrics(done.id, "loss")] == list(range(300))
