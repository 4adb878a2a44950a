"""The Hugging Face Hub: what a repository holds, and its files.

Three variables of huggingface_hub are obeyed: HF_ENDPOINT, HF_HUB_OFFLINE and, with a token saved by `hf auth login`, HF_TOKEN.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from engine.errors import InvalidInputError, NotFoundError
from engine.models.downloads import Wanted, byte_progress, download
from engine.models.errors import DownloadError
from engine.models.web import host_of, open_url, unreachable
from engine.progress import Reporter

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_LARGEST_ANSWER = 64 << 20
_TRUE = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository, with its size in bytes and hash as the Hub gives them."""

    path: str
    size: int | None
    sha256: str
    blob: str


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository at one commit.

    Attributes:
        name: ORG/NAME, as the Hub writes it.
        commit: the revision that was resolved.
        files: by path.
        licence: from the model card; empty where unknown.
    """

    name: str
    commit: str
    files: dict[str, HubFile]
    licence: str


class Hub:
    """The Hub that HF_ENDPOINT names, by default huggingface.co."""

    def __init__(self) -> None:
        self.endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
        self.host = host_of(self.endpoint)

    @staticmethod
    def offline() -> bool:
        """Whether the user forbids to ask the Hub."""
        return any(os.environ.get(name, "").lower() in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))

    def repository(self, name: str, revision: str = "main", *, patience: float = 20.0) -> HubRepository:
        """Look a repository up.

        Args:
            patience: seconds until the Hub counts as unreachable, name resolution included.

        Raises:
            DownloadError: the Hub cannot be reached, or may not be asked.
            NotFoundError: there is no such repository or revision, or it is private.
            InvalidInputError: `name` is no ORG/NAME, or the answer makes no sense.
        """
        if not _REPOSITORY.fullmatch(name):
            raise InvalidInputError(f"{name} is no model of the Hub.", "Write it as ORG/NAME.")
        if self.offline():
            raise DownloadError(
                f"{name} cannot be fetched: HF_HUB_OFFLINE is set.", "Unset it and try again.", reason="HF_HUB_OFFLINE is set"
            )
        url = f"{self.endpoint}/api/models/{name}/revision/{quote(revision, safe='')}?blobs=true"
        try:
            return _repository(_within(patience, url, lambda: self._ask(url, patience)))
        except DownloadError as error:
            raise self._explained(error, name) from error

    def fetch(
        self, repository: HubRepository, paths: list[str], folder: Path, reporter: Reporter, *, phase: str = "downloading"
    ) -> None:
        """Fetch files into `folder`, under their own paths; goes on from where an earlier call broke off.

        Raises:
            StoppedError, DownloadError, InvalidInputError, StorageError: as `engine.models.downloads.download`.
        """
        files = [repository.files[path] for path in paths]
        sizes = [file.size for file in files]
        total = sum(size for size in sizes if size is not None) if None not in sizes else None
        already = 0
        for file in files:
            target = folder / safe_path(file.path)
            url = f"{self.endpoint}/{repository.name}/resolve/{repository.commit}/{quote(file.path)}"
            digest, kind = (file.sha256, "sha256") if file.sha256 else (file.blob, "git")
            wanted = Wanted(url, file.size, digest, "git" if kind == "git" else "sha256", tuple(self._headers().items()))
            try:
                download(wanted, target, reporter, on_bytes=byte_progress(reporter, phase, total, already))
            except DownloadError as error:
                raise self._explained(error, repository.name) from error
            already += target.stat().st_size

    def _ask(self, url: str, timeout: float) -> dict[str, Any]:
        with open_url(url, self._headers(), timeout=timeout) as response:
            try:
                answer = json.loads(response.read(_LARGEST_ANSWER))
            except (OSError, http.client.HTTPException) as error:
                raise unreachable(url, error) from error
            except (ValueError, RecursionError) as error:
                # A sign-in page of a hotel's network is an answer too, but not the Hub's.
                raise DownloadError(
                    f"{self.host} did not answer as the Hub does.",
                    "Check HF_ENDPOINT and the network.",
                    reason="no Hub answers there",
                ) from error
        if not isinstance(answer, dict):
            raise DownloadError(
                f"{self.host} did not answer as the Hub does.", "Check HF_ENDPOINT.", reason="no Hub answers there"
            )
        return answer

    def _headers(self) -> dict[str, str]:
        from huggingface_hub import get_token

        token = get_token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _explained(self, error: DownloadError, name: str) -> DownloadError | NotFoundError:
        """The Hub's refusals in terms of its repositories."""
        page = f"{self.endpoint}/{name}"
        if error.detail == "RevisionNotFound":
            return NotFoundError(f"{name} has no such revision.", f"Look at {page}.")
        if error.detail == "GatedRepo":
            return DownloadError(
                f"{name} is gated: its owner must grant you access first.",
                f"Ask for it on {page}, then set HF_TOKEN to a token of yours.",
                status=error.status,
                reason="the repository is gated",
            )
        if error.status in {401, 404}:
            return NotFoundError(
                f"There is no {name} on {self.host}, or it is private.",
                f"Check the spelling on {self.endpoint}; for a private model set HF_TOKEN to a token that may read it.",
            )
        if error.status == 403:
            error.hint = "A proxy or firewall may forbid it, or the token in HF_TOKEN may not read this model."
        return error


def safe_path(path: str) -> PurePosixPath:
    """A repository's path, which must stay below the folder it is put in.

    Raises:
        InvalidInputError: it would not.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\\" in path or "\0" in path:
        raise InvalidInputError(f"The file {path!r} would be written outside its folder.", "Do not use this model.")
    return pure


def _repository(answer: dict[str, Any]) -> HubRepository:
    try:
        files = {}
        for entry in answer["siblings"]:
            lfs = entry.get("lfs") or {}
            path = str(safe_path(str(entry["rfilename"])))
            size = entry.get("size", lfs.get("size"))
            size = None if size is None else int(size)
            files[path] = HubFile(path, size, str(lfs.get("sha256") or ""), str(entry.get("blobId") or ""))
        name, commit, card = str(answer["id"]), str(answer["sha"]), dict(answer.get("cardData") or {})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DownloadError(
            "The Hub's answer cannot be understood.", "Check HF_ENDPOINT, or update mtntui.", reason="no Hub answers there"
        ) from error
    if not _REPOSITORY.fullmatch(name) or not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        raise InvalidInputError(f"The Hub names an odd repository or revision: {name!r}, {commit!r}.", "Check HF_ENDPOINT.")
    licence = card.get("license_name") if card.get("license") == "other" else card.get("license")
    return HubRepository(name, commit, files, licence if isinstance(licence, str) else "")


def _within(seconds: float, url: str, work: Any) -> dict[str, Any]:
    """The result of `work`, which is given up on after `seconds`: resolving a name has no time limit of its own."""
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put(work())
        except Exception as error:  # handed to the caller's thread
            results.put(error)

    threading.Thread(target=run, name="hub", daemon=True).start()
    try:
        result = results.get(timeout=seconds + 0.5)
    except queue.Empty:
        raise unreachable(url, TimeoutError()) from None
    if isinstance(result, Exception):
        raise result
    found: dict[str, Any] = result
    return found
