"""Processes that outlive whoever started them: their locks, the marks that tell one from another, their ends."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

from engine.store.database import now
from engine.workspace import private_opener

JOB_VARIABLE = "MTNTUI_JOB"
"""The environment variable that all processes of a job inherit; its value is the job's id."""

_LARGEST_LOG = 1 << 20  # bytes; a longer one is begun afresh when a process is started


def log_line(text: str) -> None:
    """Write a line with its time to standard error, which is the log of a detached process."""
    # The log may be on a full disk; what matters is said elsewhere as well, and the work goes on.
    with suppress(OSError):
        sys.stderr.write(f"{now()} {text}\n")
        sys.stderr.flush()


def held(lock: Path) -> bool:
    """Whether a process that holds the lock while it lives is there."""
    try:
        with lock.open("r", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    return False


def hold(lock: Path, patience: float = 0.0) -> int | None:
    """Take a lock, until its descriptor is closed or this process is gone, and write the process's number into it.

    Args:
        patience: seconds to try it for; whoever asks `held` has it for a moment.

    Returns:
        The descriptor, or None when another process has the lock.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if monotonic() >= deadline:
                os.close(descriptor)
                return None
            sleep(0.01)
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def start_detached(
    module: str, arguments: Iterable[str], *, folder: Path, log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a module of this package as a process in a session of its own: it outlives this one and its terminal.

    Args:
        folder: where it runs.
        log: what it prints is added here.
        environment: variables besides those of this process.
    """
    code = Path(__file__).parents[1]
    # What a job starts in this way outlives the job, and is none of its family.
    inherited = {name: value for name, value in os.environ.items() if name != JOB_VARIABLE}
    path = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH", "")]))
    with open(log, "ab", opener=private_opener) as output:
        if os.fstat(output.fileno()).st_size > _LARGEST_LOG:
            output.truncate(0)
        return subprocess.Popen(
            # -P: -m would look for every module in the folder first, where files of models and other programs lie.
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=folder,
            env=inherited | {"PYTHONPATH": path} | dict(environment or {}),
        )


def mark_of(process: int) -> str:
    """What tells a process from all others that have or had its number, on this machine; empty when it is gone.

    Times of day do not serve, since clocks jump: on Linux it is the kernel's count of ticks at the start, and which boot it was.
    """
    import psutil

    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        state, *rest = status.rpartition(")")[2].split()
        if state in "ZX":
            return ""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{rest[18]}"
    except FileNotFoundError:
        if sys.platform == "linux":
            return ""
    except ProcessLookupError:
        return ""
    try:
        found = psutil.Process(process)
        return "" if found.status() == psutil.STATUS_ZOMBIE else str(found.create_time())
    except psutil.NoSuchProcess:
        return ""


def alive(process: int | None, mark: str) -> bool:
    """Whether the process that had this number and mark still runs."""
    return process is not None and process > 0 and bool(mark) and mark_of(process) == mark


def family(job: str, leader: int | None = None, mark: str = "") -> set[int]:
    """The processes of a job: those that inherited its variable, and its leader's descendants and session while that lives.

    Args:
        leader, mark: the job's worker.
    """
    import psutil

    members: set[int] = set()
    led = leader if alive(leader, mark) else None
    if led is not None:
        members.add(led)
        with suppress(psutil.Error):
            members |= {child.pid for child in psutil.Process(led).children(recursive=True)}
    for process in psutil.process_iter():
        try:
            inside = led is not None and os.getsid(process.pid) == led
            if inside or process.environ().get(JOB_VARIABLE) == job:
                members.add(process.pid)
        except (psutil.Error, OSError):  # gone meanwhile, or somebody else's
            continue
    return members


def end_family(job: str, leader: int | None = None, mark: str = "", *, spare: int = 0, patience: float = 3.0) -> bool:
    """Kill all processes of a job, those too that ignore signals or left its session; whether all are gone.

    Args:
        spare: a process to leave alone.
    """
    deadline = monotonic() + patience
    known: dict[int, str] = {}
    while True:
        known |= {member: mark_of(member) for member in family(job, leader, mark)}
        left = [member for member, its in known.items() if member != spare and alive(member, its)]
        if not left:
            return True
        for member in left:
            try:
                os.kill(member, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        if monotonic() > deadline:
            return False
        sleep(0.02)
