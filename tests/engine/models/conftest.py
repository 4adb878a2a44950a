from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import HubServer
from model_workspace import ModelWorkspace


@pytest.fixture
def place(tmp_path: Path) -> Iterator[ModelWorkspace]:
    place = ModelWorkspace(tmp_path / "home")
    yield place
    place.close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
