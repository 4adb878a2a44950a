"""Downloads that go on from where they broke off, and that are checked before anybody uses them."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import InvalidInputError, NotFoundError, StorageError
from engine.models.errors import DownloadError, StoppedError
from engine.models.web import open_url, unreachable, without_secrets
from engine.progress import Progress, Reporter

_CHUNK = 1 << 18
_TIMEOUT = 30.0
_ATTEMPTS = 5  # in a row without a single new byte
_LONGEST_PAUSE = 8.0
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch.

    Attributes:
        url: http, https or file.
        size: in bytes, or None where the source does not tell.
        digest: the expected hash in hexadecimal; "" checks the size alone.
        digest_kind: "sha256" of the content, or "git": the SHA-1 that git gives a blob.
        headers: for the request (a token).
    """

    url: str
    size: int | None = None
    digest: str = ""
    digest_kind: Literal["sha256", "git"] = "sha256"
    headers: tuple[tuple[str, str], ...] = ()


def download(wanted: Wanted, target: Path, reporter: Reporter, *, on_bytes: Callable[[int], None]) -> Path:
    """Fetch a file to `target`; what an earlier call left in `target.part` is gone on with.

    `target` exists only once it is whole and checked; a `target` that is there is not fetched again.

    Args:
        on_bytes: told how many bytes of this file are here, now and again.

    Raises:
        StoppedError: the reporter said so; the part is kept.
        DownloadError: the server cannot be reached or refuses; the part is kept.
        InvalidInputError: what came is not what was wanted; the part is deleted.
        StorageError: the disk is full or cannot be written.
    """
    if target.is_file() and wanted.size in (None, target.stat().st_size):
        on_bytes(target.stat().st_size)
        return target
    part = target.with_name(target.name + ".part")
    with storage_errors(target):
        part.parent.mkdir(parents=True, exist_ok=True)
        _fetch(wanted, part, reporter, on_bytes)
        _check(wanted, part)
        part.replace(target)
    return target


def _fetch(wanted: Wanted, part: Path, reporter: Reporter, on_bytes: Callable[[int], None]) -> None:
    failures = 0
    while True:
        before = _size(part)
        if wanted.size is not None and before > wanted.size:
            part.unlink()
            before = 0
        if wanted.size is not None and before == wanted.size:
            on_bytes(before)
            return
        try:
            _receive(wanted, part, reporter, on_bytes)
            return
        except DownloadError as error:
            failures = 1 if _size(part) > before else failures + 1
            refused = error.status is not None and error.status not in _RETRIED
            if refused or failures >= _ATTEMPTS:
                raise
            reporter.log(f"{error.reason}; trying again")
            _pause(min(2.0 ** (failures - 2), _LONGEST_PAUSE), reporter)


def _receive(wanted: Wanted, part: Path, reporter: Reporter, on_bytes: Callable[[int], None]) -> None:
    """One request, from where `part` ends."""
    have = _size(part)
    with _open(wanted, have) as (response, start), part.open("ab" if start else "wb") as file:
        done, shown = start, 0.0
        while chunk := _read(response, wanted.url):
            file.write(chunk)
            done += len(chunk)
            if reporter.should_stop():
                raise StoppedError("The download")
            if (now := time.monotonic()) - shown >= 0.1:
                shown = now
                on_bytes(done)
        file.flush()
        os.fsync(file.fileno())
    on_bytes(done)
    # http.client takes an early end for the end.
    if done < (wanted.size if wanted.size is not None else _promised(response, start)):
        raise unreachable(wanted.url, ConnectionResetError())


@contextmanager
def _open(wanted: Wanted, have: int) -> Iterator[tuple[Any, int]]:
    """The open source, and the offset at which its bytes begin: `have`, or 0 where the server cannot go on."""
    if urllib.parse.urlsplit(wanted.url).scheme == "file":
        path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(wanted.url).path))
        if not path.is_file():
            raise NotFoundError(f"{path} is not there.", "Check the package index that pip is set to.")
        with path.open("rb") as file:
            file.seek(have)
            yield file, have
        return
    headers = dict(wanted.headers) | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = open_url(wanted.url, headers, timeout=_TIMEOUT)
    except DownloadError as error:
        if error.status != 416 or not have:
            raise
        response = open_url(wanted.url, dict(wanted.headers), timeout=_TIMEOUT)  # the part is longer than the file
    with response:
        went_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        yield response, have if went_on else 0


def _promised(response: Any, start: int) -> int:
    """Where the answer says that it ends, counted from the file's beginning; `start` where it does not say."""
    length = getattr(response, "headers", {}).get("Content-Length", "")
    return start + int(length) if length.isdecimal() else start


def _read(source: Any, url: str) -> bytes:
    try:
        data: bytes = source.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(url, error) from error
    return data


def _check(wanted: Wanted, part: Path) -> None:
    size = _size(part)
    if wanted.size is not None and size != wanted.size:
        part.unlink()
        raise _damaged(wanted, f"{size:,} bytes instead of {wanted.size:,}")
    if wanted.digest and (digest := file_digest(part, wanted.digest_kind)) != wanted.digest:
        part.unlink()
        raise _damaged(wanted, f"its hash is {digest} instead of {wanted.digest}")


def _damaged(wanted: Wanted, how: str) -> InvalidInputError:
    name = Path(urllib.parse.urlsplit(wanted.url).path).name
    return InvalidInputError(
        f"{name} is not the file that was expected: {how}. It was deleted.",
        f"Try again; if it happens again, {without_secrets(wanted.url)} or a proxy on the way hands out another file.",
    )


def file_digest(path: Path, kind: Literal["sha256", "git"] = "sha256") -> str:
    """A file's hash in hexadecimal."""
    with path.open("rb") as file:
        if kind == "sha256":
            return hashlib.file_digest(file, "sha256").hexdigest()
        header = f"blob {_size(path)}\0".encode()
        digest = hashlib.sha1(header, usedforsecurity=False)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        return digest.hexdigest()


@contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Turn a disk's errors into sentences about `target`."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise StorageError(
            f"The disk is full: {target} could not be written." if full else f"{target} could not be written: {error}.",
            "Free some space and try again; what is here already is kept." if full else "Mend the folder's permissions.",
        ) from error


def byte_progress(reporter: Reporter, phase: str, total: int | None, already: int = 0) -> Callable[[int], None]:
    """A function for `download` that reports its bytes as `phase`, on top of the `already` bytes of other files."""
    return lambda done: reporter.progress(Progress(phase, already + done, total, "B"))


def _pause(seconds: float, reporter: Reporter) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if reporter.should_stop():
            raise StoppedError("The download")
        time.sleep(0.1)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
