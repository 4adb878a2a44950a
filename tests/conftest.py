"""What many tests share."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.models import catalogue, conversion, graph_building
from engine.models.catalogue import DEFAULT_MODEL
from engine.models.pull import pull
from engine.models.records import state_of
from engine.progress import CallbackReporter
from engine.store.database import Database
from engine.store.models import Models
from engine.workspace import Workspace


def _cache_folder() -> Path:
    """Where the real model is kept from run to run; MTNTUI_TEST_CACHE moves it."""
    if folder := os.environ.get("MTNTUI_TEST_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mtntui-tests"


def _pulled_into(home: Path) -> None:
    """See to it that the workspace `home` has the real model; one that is broken is made anew."""
    workspace = Workspace(home).prepare()
    reporter = CallbackReporter(on_log=lambda line: print(line, file=sys.stderr))
    database = Database(workspace.database)
    try:
        pull(DEFAULT_MODEL, workspace, database, reporter)
        broken = [record.name for record in Models(database).all() if state_of(record) != "ready"]
    finally:
        database.close()
    if broken:
        raise EngineError(f"The cached {', '.join(broken)} is damaged.")


def _recipe() -> str:
    """What the model's files depend on: a cache made by other code or libraries is not used."""
    digest = hashlib.sha256(f"{version('onnxruntime-genai')} {version('transformers')}".encode())
    for module in (catalogue, conversion, graph_building):
        digest.update(Path(str(module.__file__)).read_bytes())
    return f"home-{digest.hexdigest()[:12]}"


def _cached_home() -> Path:
    cache = _cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / _recipe()
    with (cache / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _pulled_into(home)
        except EngineError:
            shutil.rmtree(home, ignore_errors=True)  # a cache may be anything: old, half written, of another version
            _pulled_into(home)
    return home


@pytest.fixture(scope="session")
def smollm2_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace's home with the real `smollm2-135m` and its graph, for all tests of a session.

    The model is pulled once and kept in the user's cache; the session gets links to its files and a database of its own, so
    that no test can spoil the cache. Skips where the model cannot be fetched.
    """
    try:
        cached = _cached_home()
    except EngineError as error:
        pytest.skip(f"the real model cannot be fetched: {error}")
    workspace = Workspace(tmp_path_factory.mktemp("smollm2") / "home").prepare()
    source = Database(cached / "mtntui.db")
    database = Database(workspace.database)
    try:
        records = sorted(Models(source).all(), key=lambda record: record.parent is not None)
        for record in records:
            folder = workspace.models / record.name
            shutil.copytree(record.path, folder, copy_function=_link_or_copy)
            Models(database).put(replace(record, path=folder))
    finally:
        source.close()
        database.close()
    yield workspace.home
    shutil.rmtree(workspace.home, ignore_errors=True)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
