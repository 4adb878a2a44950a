"""Ending an inference host, also one that does not listen any more."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from engine.errors import HostError
from engine.processes import held

# The host gives replies in progress ten seconds to be saved.
_AFTER_ASKING = 11.0
_AFTER_TERMINATING = 3.0
_AFTER_KILLING = 3.0
_BETWEEN_LOOKS = 0.02


async def end_host(lock: Path, *, asked: bool, say: Callable[[str], None]) -> None:
    """See to it that the host is gone; takes seventeen seconds at most.

    Args:
        lock: the host's, which holds its process's number.
        asked: whether it has said that it will end; else it is told by a signal.
        say: gets a sentence when the host had to be killed.

    Raises:
        HostError: it cannot be ended from here.
    """
    if asked and await _gone(lock, _AFTER_ASKING):
        return
    for number, patience in ((signal.SIGTERM, _AFTER_TERMINATING), (signal.SIGKILL, _AFTER_KILLING)):
        process = _owner(lock)
        if process is not None and held(lock):
            _signal(process, number)
        if await _gone(lock, patience):
            if number == signal.SIGKILL:
                say(
                    f"The inference host (process {process}) did not end when it was told to and was killed. Replies in progress"
                    " keep what was saved, which is all but their last second."
                )
            return
    raise HostError(f"The inference host (process {_owner(lock)}) does not end.", "Restart the machine, or wait for its disk.")


async def _gone(lock: Path, patience: float) -> bool:
    deadline = monotonic() + patience
    while held(lock):
        if monotonic() > deadline:
            return False
        await asyncio.sleep(_BETWEEN_LOOKS)
    return True


def _owner(lock: Path) -> int | None:
    """The process that wrote its number into the lock when it took it."""
    try:
        text = lock.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() and int(text) > 1 else None


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise HostError(
            f"The inference host (process {process}) belongs to another user.", f"Ask them to end {process}."
        ) from error
