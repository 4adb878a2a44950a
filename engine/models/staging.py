"""Model folders that appear whole or not at all, and one process at a time per model."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from engine.errors import InvalidInputError, StorageError
from engine.models.downloads import storage_errors
from engine.models.errors import BusyError, StoppedError
from engine.models.locks import WAITING, lock_path, try_lock
from engine.progress import Progress, Reporter
from engine.workspace import Workspace, sync

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_PARTIAL = re.compile(r"\.(?P<name>.+)\.partial")


def check_name(name: str) -> str:
    """`name`, if a model may be called so.

    Raises:
        InvalidInputError: it may not.
    """
    if not _NAME.fullmatch(name) or name.endswith((".partial", ".part")):
        raise InvalidInputError(
            f"A model cannot be named {name!r}.",
            "Use up to 80 small letters, digits, dots, hyphens and underscores, with a letter or digit first.",
        )
    return name


def slug(text: str) -> str:
    """A model's name made from a folder's, a file's or a repository's.

    Raises:
        InvalidInputError: nothing usable is left of it.
    """
    return check_name(re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:80] or text)


@contextmanager
def model_lock(workspace: Workspace, name: str, reporter: Reporter) -> Iterator[None]:
    """Hold the right to make or remove the model `name`; waits, and says so, while another process has it.

    Raises:
        StoppedError: the reporter said so while waiting.
    """
    path = lock_path(workspace, name)
    with storage_errors(path):
        file = path.open("a")
    with file:
        told = False
        while not try_lock(file.fileno()):
            if not told:
                reporter.log(f"another process is at work on {name}; waiting for it")
                told = True
            reporter.progress(Progress(WAITING))
            if reporter.should_stop():
                raise StoppedError(f"Waiting for {name}")
            time.sleep(0.2)
        _sign(file)
        yield  # closing the file releases the lock; the file stays, since unlinking a lock others may hold is a race


@contextmanager
def free_model(workspace: Workspace, name: str, what: str) -> Iterator[None]:
    """Hold the same right as `model_lock`, without waiting for it.

    Args:
        what: what cannot be done to the model while another process is at work on it ("removed").

    Raises:
        BusyError: another process has it, and is named.
    """
    path = lock_path(workspace, name)
    with storage_errors(path):
        file = path.open("a+")
    with file:
        if not try_lock(file.fileno()):
            file.seek(0)
            owner = file.read(20).strip()
            which = f"process {owner}" if owner.isdecimal() else "another process"
            raise BusyError(
                f"{name} cannot be {what}: {which} is fetching, building or removing it.",
                "Wait until that is done, or stop it, then try again.",
            )
        _sign(file)
        yield


def _sign(lock: IO[str]) -> None:
    """Leave our process's number in a lock that we hold, for whoever is refused it."""
    with suppress(OSError):  # a full disk; the lock holds all the same
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()


def staging_folder(workspace: Workspace, name: str) -> Path:
    """An empty folder to make `name` in; the caller holds its lock. What an earlier, killed process left there is deleted."""
    folder = _partial(workspace, name)
    with storage_errors(folder):
        _delete(folder)
        folder.mkdir(parents=True)
    return folder


def discard_staged(workspace: Workspace, name: str) -> None:
    """Delete what was staged for `name`; the caller holds its lock."""
    folder = _partial(workspace, name)
    with storage_errors(folder):
        _delete(folder)


def finish(workspace: Workspace, name: str) -> Path:
    """Give the staged folder its place; it survives a power cut from here on.

    Returns:
        The model's folder.
    """
    staged, final = _partial(workspace, name), workspace.models / name
    with storage_errors(final):
        for path in sorted(staged.rglob("*")):
            if path.is_file():
                sync(path)
        sync(staged)
        _delete(final)  # a folder without a row: an earlier process was killed between its rename and its row
        staged.rename(final)
        sync(workspace.models)
    return final


def discard(workspace: Workspace, folder: Path) -> None:
    """Delete a model's folder: first out of sight by a rename, so that a kill leaves nothing that looks like a model."""
    if not inside(workspace, folder) or not folder.exists():
        return
    partial = _partial(workspace, folder.name)
    with storage_errors(folder):
        _delete(partial)
        folder.rename(partial)
        _delete(partial)


def tidy(workspace: Workspace) -> None:
    """Delete what killed processes left half made; what somebody is at work on stays."""
    for folder in workspace.models.glob(".*.partial"):
        match = _PARTIAL.fullmatch(folder.name)
        if match is None:
            continue
        with storage_errors(folder), lock_path(workspace, match["name"]).open("a") as file:
            if try_lock(file.fileno()):
                _delete(folder)


def inside(workspace: Workspace, folder: Path) -> bool:
    """Whether a folder is one of the workspace's own model folders (and not elsewhere, or a link to elsewhere)."""
    return folder.parent == workspace.models and not folder.is_symlink()


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse work that the disk has no room for.

    Raises:
        StorageError: with how much is needed and how much is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{what} needs about {megabytes(needed)} of disk; {folder} has {megabytes(free)} free.",
            "Free some space, or set MTNTUI_HOME to a folder on another disk.",
        )


def megabytes(size: float) -> str:
    """A number of bytes for people, in decimal units."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size:,.0f} B"


def _partial(workspace: Workspace, name: str) -> Path:
    return workspace.models / f".{name}.partial"


def _delete(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
