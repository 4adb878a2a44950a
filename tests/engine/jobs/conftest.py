import pytest
from job_workspace import job_place


@pytest.fixture
def place(tmp_path, monkeypatch):
    with job_place(tmp_path / "home", monkeypatch) as found:
        yield found
