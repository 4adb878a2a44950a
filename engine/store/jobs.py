"""Jobs on record: what was asked for, how far it is, how it ended, and the numbers, lines and artefacts it left."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import InvalidInputError, NotFoundError
from engine.store.database import Database, now

State = Literal["queued", "running", "stopping", "succeeded", "failed", "cancelled", "interrupted"]
Policy = Literal["ask", "resume"]

UNFINISHED: frozenset[State] = frozenset({"queued", "running", "stopping"})
RESUMABLE: frozenset[State] = frozenset({"failed", "cancelled", "interrupted"})

_PREFIX = 4  # letters of an id that are enough where they are unique
_LINES_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job.

    Attributes:
        kind: what is done, by the name in `engine.jobs.kinds`.
        title: what is done to what, for people.
        config: the configuration's fields as JSON has them.
        resource: what it needs for itself ("training", "network", "processor").
        parent: the job whose success starts this one, or None.
        argument: the configuration's field that takes the parent's artefact; empty: none does.
        policy: what becomes of it when it was interrupted: the user is asked, or it is resumed.
        attempts: how often a worker began it.
        process, process_mark: the worker, and what tells it from another process with its number.
        phase, done, total, unit: the last progress.
        seconds: how long workers have been at it, all attempts together, by a clock that does not jump.
        result: what it returned.
        error, hint: why it failed, and what to do about it; a sentence each.
        created_at, started_at, ended_at: ISO 8601; started for the first time, ended for the last.
    """

    id: str
    kind: str
    title: str
    config: dict[str, Any]
    state: State
    resource: str
    parent: str | None
    argument: str
    policy: Policy
    attempts: int
    process: int | None
    process_mark: str
    phase: str
    done: float
    total: float | None
    unit: str
    seconds: float
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    hint: str = ""
    created_at: str = ""
    started_at: str | None = None
    ended_at: str | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state not in UNFINISHED


@dataclass(frozen=True, slots=True)
class Point:
    """A number that a job told: which one, at what step, and after how many seconds of work."""

    name: str
    step: int
    value: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a job told; `id` grows with time."""

    id: int
    time: str
    line: str


@dataclass(frozen=True, slots=True)
class Artefact:
    """What a job made: `kind` is "model", "dataset", "evaluation" or "file"; `name` is that of its record, or a file's."""

    kind: str
    name: str
    path: str = ""


_COLUMNS = (
    "id, kind, title, config, state, resource, parent, argument, policy, attempts, process, process_mark, phase, done, total,"
    " unit, seconds, result, error, hint, created_at, started_at, ended_at"
)


class Jobs:
    """The jobs of a workspace. Changes of state are made by `engine.jobs`, one transaction each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Reading

    def browse(self, *, limit: int = 100, offset: int = 0, states: Iterable[State] = ()) -> list[JobRecord]:
        """Jobs, the newest first; of these states alone when some are given."""
        wanted = tuple(states)
        where = f"WHERE state IN ({', '.join('?' * len(wanted))})" if wanted else ""
        sql = f"SELECT {_COLUMNS} FROM jobs {where} ORDER BY created_at DESC, id LIMIT ? OFFSET ?"
        return [_record(row) for row in self._database.query(sql, (*wanted, limit, offset))]

    def count(self) -> dict[State, int]:
        """How many jobs are in each state that any is in."""
        return {row["state"]: row["n"] for row in self._database.query("SELECT state, count(*) AS n FROM jobs GROUP BY state")}

    def unfinished(self) -> list[JobRecord]:
        """Jobs that wait or run, in the order they were submitted."""
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE state IN ('queued', 'running', 'stopping') ORDER BY created_at, rowid"
        return [_record(row) for row in self._database.query(sql)]

    def moving(self) -> list[JobRecord]:
        """Unfinished jobs that somebody has to see to: all but those that wait for one that does not go on by itself."""
        jobs = {job.id: job for job in self.unfinished()}

        def moves(job: JobRecord) -> bool:
            if job.state != "queued" or job.parent is None:
                return True
            before = jobs.get(job.parent)
            return moves(before) if before is not None else self.get(job.parent).state == "succeeded"

        return [job for job in jobs.values() if moves(job)]

    def find(self, identifier: str) -> JobRecord | None:
        """The job of exactly this id, or None."""
        rows = self._database.query(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (identifier,))
        return _record(rows[0]) if rows else None

    def get(self, identifier: str) -> JobRecord:
        """The job of this id.

        Raises:
            NotFoundError: there is none.
        """
        if record := self.find(identifier):
            return record
        raise NotFoundError(f"There is no job {identifier}.", "`mtntui jobs list` shows what there is.")

    def resolve(self, prefix: str) -> JobRecord:
        """The job whose id begins so.

        Raises:
            NotFoundError: there is none.
            InvalidInputError: there are several, or the beginning is too short to tell.
        """
        if record := self.find(prefix):
            return record
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE substr(id, 1, ?) = ? LIMIT 2"
        found = [_record(row) for row in self._database.query(sql, (len(prefix), prefix))] if prefix else []
        if not found:
            raise NotFoundError(f"There is no job {prefix!r}.", "`mtntui jobs list` shows what there is.")
        if len(found) > 1:
            raise InvalidInputError(f"Several jobs begin with {prefix!r}.", f"Give {_PREFIX} letters of the id or more.")
        return found[0]

    def children(self, identifier: str) -> list[JobRecord]:
        """The jobs that this one's success starts, in the order they were submitted."""
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE parent = ? ORDER BY created_at, rowid"
        return [_record(row) for row in self._database.query(sql, (identifier,))]

    def metric_names(self, identifier: str) -> list[str]:
        """Which numbers a job told, by name."""
        # From name to name in the index: DISTINCT would read every point.
        sql = (
            "WITH RECURSIVE names (name) AS (SELECT min(name) FROM job_metrics WHERE job = ?1 UNION ALL"
            " SELECT (SELECT min(name) FROM job_metrics WHERE job = ?1 AND name > names.name) FROM names WHERE name IS NOT NULL)"
            " SELECT name FROM names WHERE name IS NOT NULL"
        )
        return [str(row["name"]) for row in self._database.query(sql, (identifier,))]

    def metrics(self, identifier: str, name: str, *, after: int | None = None, most: int | None = None) -> list[Point]:
        """One curve, by step.

        Args:
            after: only what comes after this step.
            most: give about so many points, evenly taken from the curve's steps, the last one always; None: all.
        """
        bounds = self._database.query(
            "SELECT min(step) AS first, max(step) AS last, count(*) AS n FROM job_metrics"
            " WHERE job = ? AND name = ? AND step > ?",
            (identifier, name, -(2**62) if after is None else after),
        )[0]
        if not bounds["n"]:
            return []
        stride = 1 if most is None or bounds["n"] <= most else -(-(bounds["last"] - bounds["first"] + 1) // most)
        sql = (
            "SELECT name, step, value, seconds FROM job_metrics WHERE job = ? AND name = ? AND step >= ?"
            " AND ((step - ?) % ? = 0 OR step = ?) ORDER BY step"
        )
        rows = self._database.query(sql, (identifier, name, bounds["first"], bounds["first"], stride, bounds["last"]))
        return [Point(row["name"], row["step"], row["value"], row["seconds"]) for row in rows]

    def latest(self, identifier: str) -> dict[str, Point]:
        """The last point of each curve."""
        points: dict[str, Point] = {}
        for name in self.metric_names(identifier):
            sql = "SELECT name, step, value, seconds FROM job_metrics WHERE job = ? AND name = ? ORDER BY step DESC LIMIT 1"
            row = self._database.query(sql, (identifier, name))[0]
            points[name] = Point(row["name"], row["step"], row["value"], row["seconds"])
        return points

    def log(self, identifier: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """The lines that a job told after one of them; the newest `limit` of them, oldest first."""
        sql = "SELECT id, time, line FROM job_log WHERE job = ? AND id > ? ORDER BY id DESC LIMIT ?"
        rows = self._database.query(sql, (identifier, after, limit))
        return [LogLine(row["id"], row["time"], row["line"]) for row in reversed(rows)]

    def artefacts(self, identifier: str) -> list[Artefact]:
        """What a job made."""
        rows = self._database.query("SELECT kind, name, path FROM job_artefacts WHERE job = ? ORDER BY kind, name", (identifier,))
        return [Artefact(row["kind"], row["name"], row["path"]) for row in rows]

    # Submitting and ending

    def add(
        self,
        kind: str,
        title: str,
        config: dict[str, Any],
        resource: str,
        *,
        parent: str | None = None,
        argument: str = "",
        policy: Policy = "ask",
    ) -> JobRecord:
        """Put a job into the queue.

        Raises:
            NotFoundError: there is no such parent.
            InvalidInputError: the parent ended without success, so the job would wait for ever.
        """
        identifier = secrets.token_hex(6)
        with self._database.transaction() as connection:
            if parent is not None and (before := self.get(parent)).finished and before.state != "succeeded":
                raise InvalidInputError(f"The job {parent} is {before.state}, so nothing can follow it.", "Resume it first.")
            connection.execute(
                "INSERT INTO jobs (id, kind, title, config, resource, parent, argument, policy, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (identifier, kind, title, json.dumps(config), resource, parent, argument, policy, now()),
            )
        return self.get(identifier)

    def claim(self, identifier: str, process: int, mark: str, limit: int) -> JobRecord | None:
        """Begin a queued job as the worker of this process; None when it is not to be begun (any more, or yet).

        The last word about who runs what: whether it still waits, and whether its resource has room, is seen and changed in one
        transaction, however many supervisors and workers there are.

        Args:
            limit: how many jobs of its resource may run at once.
        """
        with self._database.transaction() as connection:
            job = self.find(identifier)
            if job is None or job.state != "queued":
                return None
            if job.parent is not None and self.get(job.parent).state != "succeeded":
                return None
            sql = "SELECT count(*) FROM jobs WHERE resource = ? AND state IN ('running', 'stopping')"
            if connection.execute(sql, (job.resource,)).fetchone()[0] >= limit:
                return None
            connection.execute(
                "UPDATE jobs SET state = 'running', process = ?, process_mark = ?, attempts = attempts + 1, error = '',"
                " hint = '', phase = '', done = 0, total = NULL, unit = '', started_at = coalesce(started_at, ?), ended_at = NULL"
                " WHERE id = ?",
                (process, mark, now(), identifier),
            )
        return self.get(identifier)

    def request_stop(self, identifier: str) -> JobRecord:
        """Cancel a job: one that waits at once, with all that would follow it; one that runs by asking its worker to stop."""
        with self._database.transaction() as connection:
            job = self.get(identifier)
            if job.state == "queued":
                self._end(connection, identifier, "cancelled", "", "")
            elif job.state == "running":
                connection.execute("UPDATE jobs SET state = 'stopping' WHERE id = ?", (identifier,))
        return self.get(identifier)

    def end(
        self,
        identifier: str,
        state: State,
        *,
        process: int | None = None,
        mark: str = "",
        error: str = "",
        hint: str = "",
        result: dict[str, Any] | None = None,
    ) -> bool:
        """Bring a job that runs to its end, and cancel what waits for a success that will not come.

        Args:
            process, mark: only if this worker runs it.

        Returns:
            Whether it was running.
        """
        with self._database.transaction() as connection:
            job = self.find(identifier)
            if job is None or job.state not in ("running", "stopping"):
                return False
            if process is not None and (job.process, job.process_mark) != (process, mark):
                return False
            if result is not None:
                connection.execute("UPDATE jobs SET result = ? WHERE id = ?", (json.dumps(result), identifier))
            self._end(connection, identifier, state, error, hint)
        return True

    def _end(self, connection: sqlite3.Connection, identifier: str, state: State, error: str, hint: str) -> None:
        connection.execute(
            "UPDATE jobs SET state = ?, error = ?, hint = ?, process = NULL, process_mark = '', ended_at = ? WHERE id = ?",
            (state, error, hint, now(), identifier),
        )
        if state in {"succeeded", "interrupted"}:  # an interrupted one may be resumed; what follows it waits
            return
        waiting = connection.execute("SELECT id FROM jobs WHERE parent = ? AND state = 'queued'", (identifier,)).fetchall()
        for row in waiting:
            self._end(
                connection,
                row["id"],
                "cancelled",
                f"The job before it, {identifier}, was {state}.",
                "Resume that one, then this one.",
            )

    def requeue(self, identifier: str, config: dict[str, Any] | None = None) -> JobRecord:
        """Queue a job again that did not succeed; it begins at its last checkpoint where it has one.

        Raises:
            InvalidInputError: it waits, runs, or has succeeded; or the one before it has not.
        """
        with self._database.transaction() as connection:
            job = self.get(identifier)
            if job.state not in RESUMABLE:
                raise InvalidInputError(f"The job {identifier} is {job.state}.", "Only one that did not succeed can be resumed.")
            before = self.find(job.parent) if job.parent else None
            if before is not None and before.state in ("failed", "cancelled"):
                raise InvalidInputError(f"The job before it, {before.id}, is {before.state}.", "Resume that one first.")
            connection.execute(
                "UPDATE jobs SET state = 'queued', config = ?, error = '', hint = '', ended_at = NULL WHERE id = ?",
                (json.dumps(job.config if config is None else config), identifier),
            )
        return self.get(identifier)

    def set_config(self, identifier: str, config: dict[str, Any]) -> None:
        """Change a queued job's configuration: its parent's artefact is known now."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE jobs SET config = ? WHERE id = ?", (json.dumps(config), identifier))

    def remove(self, identifier: str) -> None:
        """Forget a job that is over, with its numbers, lines and list of artefacts; the artefacts themselves stay.

        Raises:
            InvalidInputError: it waits or runs, or others wait for it.
        """
        with self._database.transaction() as connection:
            job = self.get(identifier)
            if not job.finished:
                raise InvalidInputError(f"The job {identifier} is {job.state}.", "Cancel it first.")
            if waiting := [child.id for child in self.children(identifier) if not child.finished]:
                raise InvalidInputError(f"{', '.join(waiting)} waits for the job {identifier}.", "Cancel or remove that first.")
            connection.execute("DELETE FROM jobs WHERE id = ?", (identifier,))

    # What a worker tells

    def record(
        self,
        identifier: str,
        *,
        seconds: float | None = None,
        progress: tuple[str, float, float | None, str] | None = None,
        points: Sequence[Point] = (),
        lines: Sequence[tuple[str, str]] = (),
        artefacts: Sequence[Artefact] = (),
    ) -> None:
        """Keep what a job told since the last time, in one transaction.

        Args:
            seconds: how long it has been worked at; None leaves what stands there.
            progress: phase, done, total and unit.
            lines: times and lines.
        """
        with self._database.transaction() as connection:
            if seconds is not None:
                connection.execute("UPDATE jobs SET seconds = ? WHERE id = ?", (seconds, identifier))
            if progress is not None:
                sql = "UPDATE jobs SET phase = ?, done = ?, total = ?, unit = ? WHERE id = ?"
                connection.execute(sql, (*progress, identifier))
            connection.executemany(
                "INSERT INTO job_metrics (job, name, step, value, seconds) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET value = excluded.value, seconds = excluded.seconds",
                [(identifier, point.name, point.step, point.value, point.seconds) for point in points],
            )
            connection.executemany(
                "INSERT INTO job_log (job, time, line) VALUES (?, ?, ?)", [(identifier, time, line) for time, line in lines]
            )
            if lines:
                connection.execute(
                    "DELETE FROM job_log WHERE job = ? AND id <="
                    " (SELECT id FROM job_log WHERE job = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (identifier, identifier, _LINES_KEPT),
                )
            connection.executemany(
                "INSERT OR REPLACE INTO job_artefacts (job, kind, name, path) VALUES (?, ?, ?, ?)",
                [(identifier, artefact.kind, artefact.name, artefact.path) for artefact in artefacts],
            )


def _record(row: sqlite3.Row) -> JobRecord:
    values = dict(row)
    values["config"] = json.loads(values["config"])
    values["result"] = json.loads(values["result"])
    return JobRecord(**values)
