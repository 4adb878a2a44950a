"""The files that say who is at work on a model."""

from __future__ import annotations

import fcntl
from pathlib import Path

from engine.workspace import Workspace

WAITING = "waiting for another process"
"""The phase that work on a model reports while another process has the right to it."""


def lock_path(workspace: Workspace, name: str) -> Path:
    """The file that the process at work on the model `name` holds a lock on."""
    return workspace.run / f"model-{name}.lock"


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file for this process; False while another has it."""
    return _locked(descriptor, fcntl.LOCK_EX)


def at_work(workspace: Workspace, name: str) -> bool:
    """Whether some process makes or removes the model `name` or a graph named after it; asking costs microseconds."""
    paths = (lock_path(workspace, name), *workspace.run.glob(f"model-{name}-*.lock"))
    return any(_held(path) for path in paths)


def _held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return not _locked(file.fileno(), fcntl.LOCK_SH)  # shared: two that ask at once do not see each other
    except FileNotFoundError:
        return False


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
