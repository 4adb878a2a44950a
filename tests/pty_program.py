"""A program in a pseudo-terminal: start it, type at it, wait for its output, look at its screen."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pyte


class ProgramError(AssertionError):
    """What was waited for did not come; carries the screen as it stood."""


class PtyProgram:
    """Runs `argv` on a pseudo-terminal of its own, as the leader of a session, and keeps all it writes.

    A thread drains the terminal all the time, so the program never blocks on a full buffer; `chunks` holds the
    time of arrival (`time.monotonic()`, seconds) of each read. Use it as a context manager: leaving kills the
    program and its process group.

    Args:
        argv: The program and its arguments.
        columns, rows: Size of the terminal.
        env: Variables over those of this process; None removes one. TERM is `xterm-256color` unless given.
        cwd: Folder to run in.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        columns: int = 80,
        rows: int = 24,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
    ) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self._fed = 0
        self._closed = False
        self._changed = threading.Condition()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self._set_size(columns, rows)
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=_environment(env or {}),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    def _drain(self) -> None:
        while True:
            ready, _, _ = select.select([self._master], [], [], 0.2)
            if not ready and not self._closed:
                continue
            try:
                data = os.read(self._master, 1 << 16) if ready else b""
            except OSError:  # Linux says EIO when the last holder of the other end has gone
                data = b""
            with self._changed:
                if data:
                    self.chunks.append((time.monotonic(), data))
                else:
                    self._closed = True
                self._changed.notify_all()
                if self._closed:
                    return

    @property
    def output(self) -> bytes:
        """Every byte that the program has written so far."""
        with self._changed:
            return b"".join(data for _, data in self.chunks)

    def send(self, keys: str | bytes) -> None:
        """Type `keys` at the program (text is sent as UTF-8)."""
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            data = data[os.write(self._master, data) :]

    def wait_for(self, what: str | bytes | Callable[["PtyProgram"], bool], timeout: float = 10.0) -> float:
        """Wait until `what` is true, and return the moment (`time.monotonic()`).

        A string must stand on the screen (on one row), bytes in the output, a callable must return True.

        Raises:
            ProgramError: it was not so within `timeout` seconds, or the program ended first.
        """
        deadline = time.monotonic() + timeout
        while True:
            ended, seen = self._closed, len(self.chunks)
            if self._holds(what):
                return time.monotonic()
            if ended or time.monotonic() > deadline:
                state = "the program ended" if ended else f"{timeout:g} s went by"
                raise ProgramError(f"{state} without {what!r}; the screen:\n{self.text()}")
            with self._changed:
                if len(self.chunks) == seen and not self._closed:
                    self._changed.wait(min(0.05, max(0.0, deadline - time.monotonic())))

    def _holds(self, what: str | bytes | Callable[["PtyProgram"], bool]) -> bool:
        if isinstance(what, bytes):
            return what in self.output
        if isinstance(what, str):
            return what in self.text()
        return what(self)

    def wait_until_quiet(self, quiet: float = 0.3, timeout: float = 10.0) -> None:
        """Wait until nothing was written for `quiet` seconds, at most `timeout`."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and not self._closed:
            with self._changed:
                last = self.chunks[-1][0] if self.chunks else self.started
            if time.monotonic() - last >= quiet:
                return
            time.sleep(0.02)

    def collect(self, seconds: float) -> bytes:
        """What the program writes in the next `seconds`."""
        with self._changed:
            seen = len(self.chunks)
        time.sleep(seconds)
        with self._changed:
            return b"".join(data for _, data in self.chunks[seen:])

    @property
    def screen(self) -> pyte.Screen:
        """The screen as a terminal would show it now."""
        with self._changed:
            new = b"".join(data for _, data in self.chunks[self._fed :])
            self._fed = len(self.chunks)
        if new:
            self._stream.feed(new)
        return self._screen

    def text(self) -> str:
        """The screen's rows as text, without the blanks at their ends."""
        return "\n".join(row.rstrip() for row in self.screen.display)

    def resize(self, columns: int, rows: int) -> None:
        """Change the terminal's size; the program gets SIGWINCH."""
        self.screen.resize(rows, columns)
        self._set_size(columns, rows)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, timeout: float = 10.0) -> int:
        """Wait for the program's end and return its exit status (negative: the signal that ended it)."""
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """Send `sig` to the program alone."""
        self.process.send_signal(sig)

    def close(self) -> None:
        """End the program with all of its process group and give the terminal back."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._closed = True
        self._reader.join(5)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def __enter__(self) -> "PtyProgram":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """This process's variables without those that change how a terminal program looks, then `changes`."""
    unwanted = {
        "NO_COLOR",
        "COLORTERM",
        "COLUMNS",
        "LINES",
        "FORCE_COLOR",
        "TMUX",
        "SSH_CONNECTION",
        "SSH_TTY",
    }
    env: dict[str, str | None] = {k: v for k, v in os.environ.items() if k not in unwanted}
    env |= {"TERM": "xterm-256color", **changes}
    return {name: value for name, value in env.items() if value is not None}
