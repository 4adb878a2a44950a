"""Copying, in the way that reaches the user's own clipboard from where the program runs."""

from __future__ import annotations

import asyncio
import os


async def copy_through_tmux(text: str) -> bool:
    """Hand `text` to tmux, which passes it to the outer terminal's clipboard in every configuration; False outside tmux.

    OSC 52 from inside tmux is dropped by its default settings, `load-buffer -w` is not.
    """
    if not os.environ.get("TMUX"):
        return False
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
        return False
    await process.communicate(text.encode("utf-8", "replace"))
    return process.returncode == 0
