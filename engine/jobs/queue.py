"""The front door: what a terminal or a script does with jobs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import InvalidInputError
from engine.jobs.kinds import kind_of
from engine.jobs.start import ensure_supervisor
from engine.settings import Settings
from engine.store.database import Database
from engine.store.jobs import JobRecord, Jobs, Policy


class JobQueue:
    """The jobs of a workspace. Its methods do not block for longer than a look into the store; any thread may call them.

    Args:
        settings: say where the workspace is.
        database: the workspace's.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._workspace = settings.workspace
        self.jobs = Jobs(database)

    def submit(
        self,
        kind: str,
        config: Mapping[str, Any],
        *,
        parent: str | None = None,
        argument: str = "",
        policy: Policy = "ask",
    ) -> JobRecord:
        """Put a job into the queue, and see to it that somebody works at it.

        Args:
            config: the fields of the kind's configuration.
            parent: start when this job has succeeded, not before.
            argument: the field that takes the name of the parent's artefact; it may be left out of `config`.
            policy: "resume": when it was interrupted, go on by itself; "ask": wait for the user.

        Raises:
            InvalidInputError: there is no such kind, or the configuration does not validate.
            NotFoundError: there is no such parent.
        """
        chosen = kind_of(kind)
        if argument and parent is None:
            raise InvalidInputError(f"There is no job before this one to take {argument} from.", "Name one, or give the field.")
        values = dict(config)
        if argument:
            if argument not in chosen.load_config().model_fields:
                raise InvalidInputError(f"The {kind} job has no field {argument!r}.", "`mtntui jobs kinds` shows what it has.")
            values[argument] = values.get(argument) or "-"  # not known yet
        valid = chosen.validate(values)
        shown = valid.model_dump(mode="json") | ({argument: f"what {parent} makes"} if argument else {})
        record = self.jobs.add(
            kind,
            chosen.title.format_map(shown),
            valid.model_dump(mode="json"),
            chosen.resource,
            parent=parent,
            argument=argument,
            policy=policy,
        )
        self.wake()
        return record

    def cancel(self, identifier: str) -> JobRecord:
        """Ask a job to stop; it does so at its next safe point, or is ended some seconds later."""
        record = self.jobs.request_stop(identifier)
        self.wake()
        return record

    def resume(self, identifier: str, changes: Mapping[str, Any] | None = None) -> JobRecord:
        """Queue a job again that did not succeed; it begins at its last checkpoint where it has one.

        Args:
            changes: fields of its configuration to set first.

        Raises:
            InvalidInputError: it waits, runs, or has succeeded; or its configuration does not validate.
        """
        record = self.jobs.get(identifier)
        valid = kind_of(record.kind).validate(record.config | dict(changes or {}))
        record = self.jobs.requeue(identifier, valid.model_dump(mode="json"))
        self.wake()
        return record

    def remove(self, identifier: str) -> None:
        """Forget a job that is over, with its folder; what it made for others (models, datasets) stays."""
        self.jobs.remove(identifier)
        shutil.rmtree(self.folder(identifier), ignore_errors=True)

    def wake(self) -> None:
        """Start a supervisor if there is work and none runs. Cheap: call it wherever jobs are looked at."""
        if self.jobs.moving():
            ensure_supervisor(self._workspace)

    def folder(self, identifier: str) -> Path:
        """A job's own folder: its checkpoints and its output."""
        return self._workspace.job_folder(identifier)

    def output(self, identifier: str) -> Path:
        """The file that holds what a job's libraries print."""
        return self.folder(identifier) / "output.log"
