"""A server on loopback that speaks the few endpoints of the Hugging Face Hub that are used, and misbehaves when told to."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubServer:
    """Serves folders as repositories. Use as a context manager; `url` goes into HF_ENDPOINT.

    Attributes:
        repositories: folder by ORG/NAME.
        gated: repositories whose files want a token.
        token: the one that is accepted.
        break_after: close the connection after this many bytes of a file's answer, once per entry of the list.
        ranges: whether Range is understood.
        spoiled: paths whose content is changed on the way.
        storage: redirect files to this other server, as the Hub does with large ones.
        forbids: answer 403 to everything, as a firewall does.
        seen: (path, Range, Authorization) of each request.
    """

    repositories: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    token: str = "hf_secret"
    break_after: list[int] = field(default_factory=list)
    ranges: bool = True
    spoiled: set[str] = field(default_factory=set)
    storage: str = ""
    licence: str = "mit"
    forbids: bool = False
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def __enter__(self) -> HubServer:
        hub = self

        class Handler(_Handler):
            server_state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def files_asked(self) -> list[str]:
        """The names of the files that were asked for, each once, in order."""
        names = [path.rpartition("/resolve/")[2].partition("/")[2] for path, _, _ in self.seen if "/resolve/" in path]
        return list(dict.fromkeys(names))


class _Handler(BaseHTTPRequestHandler):
    server_state: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub, path = self.server_state, unquote(urlsplit(self.path).path)
        hub.seen.append((path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
        if hub.forbids:
            self._refuse(403, "")
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            self._info(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(match[1], match[3])
        else:
            self._refuse(404, "EntryNotFound")

    def _info(self, name: str, revision: str) -> None:
        folder = self.server_state.repositories.get(name)
        if folder is None:
            self._refuse(401, "RepoNotFound")
            return
        if revision not in {"main", COMMIT}:
            self._refuse(404, "RevisionNotFound")
            return
        answer = {
            "id": name,
            "sha": COMMIT,
            "cardData": {"license": self.server_state.licence},
            "siblings": [_sibling(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()],
        }
        self._answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, file: str) -> None:
        hub = self.server_state
        if name in hub.gated and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._refuse(401, "GatedRepo")
            return
        if hub.storage:
            self._answer(302, b"", {"Location": f"{hub.storage}{self.path}"})
            return
        path = hub.repositories[name] / file
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        data = path.read_bytes()
        if file in hub.spoiled:
            data = data[:-1] + bytes([data[-1] ^ 1])
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match is None or not hub.ranges:
            self._answer(200, data, {})
        elif int(match[1]) >= len(data):
            self._refuse(416, "")
        else:
            start = int(match[1])
            self._answer(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        hub = self.server_state
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status in {200, 206} and "/resolve/" in self.path and hub.break_after and len(body) > hub.break_after[0]:
            self.wfile.write(body[: hub.break_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code} if code else {})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _sibling(folder: Path, path: Path) -> dict[str, object]:
    data = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry: dict[str, object] = {"rfilename": path.relative_to(folder).as_posix(), "size": len(data), "blobId": blob}
    if path.suffix in {".safetensors", ".gguf", ".data", ".bin"}:
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
