"""A workspace for tests of models: database, a reporter that remembers, and snapshots of what lies on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.progress import Progress
from engine.store.database import Database
from engine.store.models import Models
from engine.workspace import Workspace


@dataclass
class Remembered:
    """A reporter that keeps what it is told; `stop_when` decides on each progress whether to ask for an end."""

    stop_when: Callable[[Progress], bool] = lambda _: False
    steps: list[Progress] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    stopped: bool = False

    def progress(self, progress: Progress) -> None:
        self.steps.append(progress)
        self.stopped = self.stopped or self.stop_when(progress)

    def log(self, line: str) -> None:
        self.lines.append(line)

    def should_stop(self) -> bool:
        return self.stopped

    @property
    def text(self) -> str:
        """All log lines."""
        return "\n".join(self.lines)

    @property
    def phases(self) -> list[str]:
        """The phases in order, each once in a row."""
        names = [step.phase for step in self.steps]
        return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


class ModelWorkspace:
    """A prepared workspace with its database open."""

    def __init__(self, home: Path) -> None:
        self.workspace = Workspace(home).prepare()
        self.database = Database(self.workspace.database)
        self.models = Models(self.database)

    def model_folders(self) -> set[str]:
        """All that lies in the models folder, half made things included."""
        return {path.name for path in self.workspace.models.iterdir()}

    def downloads(self) -> set[str]:
        """All that lies in the downloads folder."""
        return {path.name for path in self.workspace.downloads.iterdir()}

    def close(self) -> None:
        """Close the database."""
        self.database.close()
