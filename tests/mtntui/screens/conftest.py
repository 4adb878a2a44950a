from pathlib import Path

import pytest
from cli_program import add_tiny_model


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
