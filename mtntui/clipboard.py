"""Copying, in the way that reaches the user's own clipboard from where the program runs."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Literal

TMUX_SECONDS = 2.0
"""A tmux that has not taken the text by then (a server that hangs or is stopped) is given up."""

Outcome = Literal["copied", "no tmux", "no answer", "refused"]


async def copy_through_tmux(text: str) -> Outcome:
    """Hand `text` to tmux, which passes it to the outer terminal's clipboard in every configuration.

    OSC 52 from inside tmux is dropped by its default settings, `load-buffer -w` is not.
    """
    if not os.environ.get("TMUX"):
        return "no tmux"
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux",
            "load-buffer",
            "-w",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:  # TMUX is set, but there is no tmux here (a container): OSC 52 is what is left.
        return "no tmux"
    try:
        await asyncio.wait_for(process.communicate(text.encode("utf-8", "replace")), TMUX_SECONDS)
    except TimeoutError:
        return "no answer"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
    return "copied" if process.returncode == 0 else "refused"
