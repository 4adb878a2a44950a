from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_program import add_tiny_model
from job_workspace import JobPlace, job_place

from .jobs_app import Board, board_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace's home; what this process starts works in it too."""
    folder = tmp_path / "home"
    monkeypatch.setenv("MTNTUI_HOME", str(folder))
    monkeypatch.delenv("TMUX", raising=False)
    return folder


@pytest.fixture
def model_home(home: Path) -> Path:
    """A workspace with the model `tiny`, whose replies are random and as long as is asked for."""
    add_tiny_model(home)
    return home


@pytest.fixture
def long_home(home: Path) -> Path:
    """The same with room for replies that take many seconds."""
    add_tiny_model(home, context=16384)
    return home


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobPlace]:
    """A workspace whose jobs may be drills."""
    monkeypatch.delenv("TMUX", raising=False)
    with job_place(tmp_path / "home", monkeypatch) as found:
        yield found


@pytest.fixture
def board(place: JobPlace) -> Iterator[Board]:
    """Its jobs, put on record by hand."""
    with board_of(place) as found:
        yield found
