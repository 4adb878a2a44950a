"""What was written and not sent, kept on disk so that neither a quit nor a lost connection takes it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engine.errors import StorageError
from engine.workspace import private_opener

_NEW = "new"
"""What stands for the conversation that has no id yet."""


class DraftFiles:
    """One file per conversation that has a draft, readable by its owner alone.

    Args:
        folder: holds them; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # A quit may save while the save of the last second still goes on.

    def read(self, conversation: str) -> str:
        """The draft for a conversation (an empty id: the next new one); empty when there is none.

        Raises:
            StorageError: it is there and cannot be read.
        """
        try:
            return self._path(conversation).read_bytes().decode("utf-8", "surrogatepass")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"A draft could not be read: {error}.", "Look at the file, or delete it.") from error

    def write(self, drafts: dict[str, str]) -> None:
        """Replace the drafts of these conversations, each at once or not at all; a blank one's file goes.

        Raises:
            StorageError: the disk would not take one.
        """
        with self._lock:
            try:
                for conversation, text in drafts.items():
                    if text.strip():
                        self._replace(self._path(conversation), text)
                    else:
                        self._path(conversation).unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(
                    f"What stands in the prompt could not be kept on disk: {error.strerror or error}.",
                    "It is lost if the program ends before that is mended.",
                ) from error

    def recent(self) -> Iterator[tuple[str, float]]:
        """The conversations that have a draft with its time (seconds since 1970), the last written first."""
        found: list[tuple[str, float]] = []
        for path in self._folder.glob("*.txt"):
            with suppress(FileNotFoundError):  # Another terminal has just sent it.
                found.append(("" if path.stem == _NEW else path.stem, path.stat().st_mtime))
        yield from sorted(found, key=lambda draft: -draft[1])

    def _path(self, conversation: str) -> Path:
        return self._folder / f"{conversation or _NEW}.txt"

    def _replace(self, path: Path, text: str) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}.part")
        try:
            with open(half, "wb", opener=private_opener) as file:
                file.write(text.encode("utf-8", "surrogatepass"))
                file.flush()
                os.fsync(file.fileno())
            os.utime(half, ns=(time.time_ns(),) * 2)  # The file system's own clock ticks too slowly to tell two drafts apart.
            half.replace(path)
        except OSError:
            with suppress(OSError):  # What is told is why it could not be written.
                half.unlink(missing_ok=True)
            raise
