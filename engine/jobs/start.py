"""Starting the supervisor."""

from __future__ import annotations

import subprocess
from pathlib import Path

from engine.processes import held, start_detached
from engine.workspace import Workspace

_started: dict[Path, subprocess.Popen[bytes]] = {}


def ensure_supervisor(workspace: Workspace) -> None:
    """Start the workspace's supervisor unless one runs; it takes the queue from the store, and ends when that is empty.

    Raises:
        StorageError: the workspace cannot be written.
    """
    if held(workspace.supervisor_lock):
        return
    workspace.prepare()
    # Kept, so that its end is noticed and leaves no zombie. Of two that start at once, the lock ends one.
    previous = _started.get(workspace.home)
    if previous is not None and previous.poll() is None:  # it has not come to taking the lock
        return
    _started[workspace.home] = start_detached(
        "engine.jobs.supervisor", [str(workspace.home)], folder=workspace.home, log=workspace.supervisor_log
    )
