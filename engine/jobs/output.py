"""What a job's processes leave on the disk besides their work: what they print, kept short, and a reserve for the end."""

from __future__ import annotations

import os
from pathlib import Path

RESERVE = "reserve"
"""A file in a job's folder that takes a little of the disk, and is given up so that the job's end can be saved."""

LARGEST = 16 << 20
KEPT = 4 << 20


def keep_short(path: Path) -> None:
    """Drop the beginning of an output file that has grown too large.

    Its writers append, so that they go on at the new end. What they write between reading and writing here is lost.
    """
    try:
        size = path.stat().st_size
        if size <= LARGEST:
            return
        with path.open("r+b") as file:
            file.seek(size - KEPT)
            kept = file.read(KEPT)
            line = kept.find(b"\n") + 1
            file.seek(0)
            file.truncate(0)
            head = f"[… earlier output was dropped: {(size - KEPT) // (1 << 20)} MB …]\n".encode()
        with path.open("ab") as file:
            file.write(head + kept[line:])
    except FileNotFoundError:
        return


def tail(path: Path, most: int) -> str:
    """The last bytes of an output file as text; whole lines where there are any."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            data = file.read(most)
    except FileNotFoundError:
        return ""
    if size > most and b"\n" in data:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", errors="replace")


def last_line(path: Path) -> str:
    """The last line of an output file that says something."""
    lines = [line.strip() for line in tail(path, 4096).splitlines() if line.strip()]
    return lines[-1][:300].rstrip(".") if lines else "it said nothing"
