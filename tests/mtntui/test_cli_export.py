"""`mtntui export` and `mtntui models pull --detach`: real models, in the background."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_program import PROGRAM, mtntui, mtntui_json, program_environment, the_rest
from hub_server import HubServer
from job_workspace import JobPlace
from tiny_models import tiny_weights


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A workspace with a tiny model's weights; none of its jobs runs any more at the end."""
    place = JobPlace(tmp_path / "home")
    assert mtntui(tmp_path / "home", "models", "add", str(tiny_weights(tmp_path / "tiny")), "--no-build").returncode == 0
    yield tmp_path / "home"
    place.close()


@pytest.mark.slow
def test_an_export_is_followed_to_a_model_that_can_be_asked(home: Path) -> None:
    done = mtntui(home, "export", "tiny", "--precision", "fp32")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "made the model tiny-fp32 (mtntui ask --model tiny-fp32 …)"
    made = mtntui_json(home, "models", "show", "tiny-fp32")
    assert (made["parent"], made["precision"], made["chats"]) == ("tiny", "fp32", True)
    [job] = mtntui_json(home, "jobs", "list")
    assert (job["kind"], job["state"], job["result"]) == ("export", "succeeded", {"model": "tiny-fp32"})


@pytest.mark.slow
def test_an_export_outlives_ctrl_c_and_can_be_watched_again(home: Path) -> None:
    command = [*PROGRAM, "export", "tiny", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=program_environment(home))
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    last = json.loads(the_rest(process)[0].splitlines()[-1])
    assert (process.returncode, last["event"], last["id"]) == (3, "detached", first["id"])
    assert last["state"] in ("queued", "running")
    done = mtntui(home, "jobs", "watch", first["id"][:8])
    assert done.returncode == 0
    assert "made the model tiny-int4" in done.stdout


@pytest.mark.slow
def test_a_detached_export_is_an_id_at_once(home: Path) -> None:
    submitted = mtntui_json(home, "export", "tiny", "--detach")
    assert submitted["state"] == "queued"
    assert mtntui(home, "jobs", "cancel", submitted["id"]).returncode == 0
    assert mtntui(home, "jobs", "watch", submitted["id"]).returncode == 130
    assert mtntui_json(home, "jobs", "show", submitted["id"])["state"] == "cancelled"
    assert [model["name"] for model in mtntui_json(home, "models", "list")] == ["tiny"]


def test_a_model_that_is_not_there_makes_no_job(home: Path) -> None:
    done = mtntui(home, "export", "nix")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("There is no model named nix.")
    assert mtntui_json(home, "jobs", "list") == []
    assert mtntui(home, "export", "tiny", "--precision", "int5").returncode == 2


@pytest.mark.slow
def test_a_detached_pull_fetches_in_the_background(home: Path, tmp_path: Path) -> None:
    with HubServer(repositories={"org/Other": tiny_weights(tmp_path / "other")}) as hub:
        done = mtntui(home, "models", "pull", "org/Other", "--name", "mine", "--detach", env={"HF_ENDPOINT": hub.url})
        assert done.returncode == 0 and "Fetch org/Other" in done.stderr
        watched = mtntui(home, "jobs", "watch", done.stdout.strip())
        assert watched.returncode == 0, watched
    shown = mtntui_json(home, "jobs", "show", done.stdout.strip())
    assert (shown["kind"], shown["config"]) == ("pull", {"model": "org/Other", "name": "mine", "revision": "main"})
    assert {"mine", "mine-int4"} <= {model["name"] for model in mtntui_json(home, "models", "list")}
