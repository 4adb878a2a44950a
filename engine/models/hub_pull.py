"""A Hub repository made into a model of the workspace."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from engine.models.hub import Hub, HubRepository
from engine.models.hub_choice import Choice, choose
from engine.models.imports import graph_from_folder, weights_from_folder, weights_from_gguf
from engine.models.records import Origin
from engine.models.safetensors_files import INDEX, read_json, shards_of
from engine.models.staging import require_space
from engine.models.weights import check_config, licence_from_card
from engine.progress import Progress, Reporter
from engine.store.database import Database
from engine.store.models import ModelRecord
from engine.workspace import Workspace

_SLACK = 64_000_000


def pull_repository(
    hub: Hub,
    name: str,
    target: str,
    workspace: Workspace,
    database: Database,
    reporter: Reporter,
    *,
    revision: str = "main",
    patience: float = 20.0,
) -> ModelRecord:
    """Fetch a repository's model and put it on record; the caller holds the lock of `target`.

    Args:
        name: ORG/NAME, or ORG/NAME:FILE for one GGUF file or ONNX folder.
        target: what it is called here.
        patience: seconds until the Hub counts as unreachable.

    Raises:
        NotFoundError, DownloadError, UnsafeError, InvalidInputError, StorageError, StoppedError: as `engine.models.pull.pull`.
    """
    wanted_name, _, wanted_file = name.partition(":")
    reporter.progress(Progress(f"asking {hub.host}"))
    repository = hub.repository(wanted_name, revision, patience=patience)
    choice = choose(repository.name, repository.files, wanted_file)
    reporter.log(f"fetching {repository.name} ({choice.kind}) from {hub.host} at {repository.commit[:12]}")
    folder = workspace.downloads / f"{repository.name.replace('/', '--')}-{repository.commit[:12]}"
    large = _fetch(hub, repository, choice, folder, reporter)
    hashes = {path: repository.files[path].sha256 for path in large if repository.files[path].sha256}
    origin = Origin(name, repository.commit, repository.licence, {"hub": repository.name, "sha256": hashes})
    if choice.kind == "gguf":
        origin = replace(origin, licence=origin.licence or licence_from_card(folder / "README.md"))
        record = weights_from_gguf(folder / large[0], target, workspace, database, reporter, origin)
    else:
        take = weights_from_folder if choice.kind == "safetensors" else graph_from_folder
        record = take(folder / choice.folder, target, workspace, database, reporter, origin)
    shutil.rmtree(folder)
    return record


def _fetch(hub: Hub, repository: HubRepository, choice: Choice, folder: Path, reporter: Reporter) -> list[str]:
    """Fetch the small files, refuse what they tell to refuse, then fetch the large ones; returns those."""
    hub.fetch(repository, list(choice.small), folder, reporter, phase="downloading the configuration")
    large = list(choice.large)
    if choice.kind == "safetensors":
        check_config(folder)
        if INDEX in choice.small:
            large = [path for path in shards_of(read_json(folder / INDEX), INDEX) if path in repository.files]
    needed = sum(repository.files[path].size or 0 for path in large)
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, max(0, needed - here) + _SLACK, f"Fetching {repository.name}")
    hub.fetch(repository, large, folder, reporter)
    return large
