"""`mtntui models`, run as a user runs it."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from cli_program import PROGRAM, mtntui, mtntui_json, program_environment
from hub_server import HubServer
from pty_program import PtyProgram
from tiny_models import tiny_graph, tiny_weights

KEYS = {
    "name",
    "state",
    "format",
    "precision",
    "parameters",
    "size_bytes",
    "context_length",
    "licence",
    "parent",
    "source",
    "revision",
    "architecture",
    "path",
    "created_at",
    "chats",
}


def test_an_empty_workspace_says_how_to_begin(tmp_path: Path) -> None:
    done = mtntui(tmp_path / "home", "models", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "mtntui models pull smollm2-135m" in done.stderr
    assert mtntui_json(tmp_path / "home", "models", "list") == []


def test_weights_are_added_listed_shown_and_removed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = tiny_weights(tmp_path / "Tiny")
    done = mtntui(home, "models", "add", str(folder), "--no-build")
    assert (done.returncode, done.stdout) == (0, "tiny is ready\n")
    [listed] = mtntui_json(home, "models", "list")
    assert listed.keys() == KEYS
    assert (listed["name"], listed["state"], listed["parameters"], listed["chats"]) == ("tiny", "ready", 98_560, False)
    shown = mtntui_json(home, "models", "show", "tiny")
    assert shown.keys() == KEYS | {"lineage", "children", "files", "chat_template", "details"}
    table = mtntui(home, "models", "list").stdout.splitlines()
    assert table[0].split()[:4] == ["NAME", "FORMAT", "WEIGHTS", "PARAMETERS"]
    assert table[1].split()[:5] == ["tiny", "safetensors", "fp32", "98.6", "k"]
    text = mtntui(home, "models", "show", "tiny").stdout
    assert "98,560" in text and "LlamaForCausalLM" in text and "model.safetensors" in text
    assert mtntui_json(home, "models", "remove", "tiny") == ["tiny"]
    assert list((home / "models").iterdir()) == []


def test_errors_are_two_sentences_and_a_status(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = mtntui(home, "models", "remove", "nix")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("There is no model named nix.\n")
    done = mtntui(home, "models", "add", str(tmp_path / "nowhere"), "--json")
    event = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert (event["event"], event["code"]) == ("error", "not_found")
    assert event["message"] and event["hint"]


@pytest.mark.slow
def test_a_model_that_was_added_answers_at_once_and_is_removed_from_a_running_host(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert mtntui(home, "models", "add", str(tiny_graph(tmp_path)), "--name", "tiny").returncode == 0
    try:
        answer = mtntui(home, "ask", "--model", "tiny", "--max-new-tokens", "4", "hello")
        assert answer.stdout.strip(), answer.stderr
        assert mtntui(home, "models", "remove", "tiny").stdout == "removed tiny\n"
        assert not (home / "models" / "tiny").exists()
        assert mtntui(home, "ask", "--model", "tiny", "hello").returncode != 0
    finally:
        mtntui(home, "host", "stop")


@pytest.mark.slow
def test_gpt2_is_kept_as_weights_and_said_so(tmp_path: Path) -> None:
    done = mtntui(tmp_path / "home", "models", "add", str(tiny_weights(tmp_path / "gpt", "gpt2")))
    assert done.returncode == 0
    assert "no graph to chat with can be built for GPT2LMHeadModel yet" in done.stderr


def test_hostile_names_reach_the_terminal_as_visible_text(tmp_path: Path) -> None:
    folder = tiny_weights(tmp_path / "x\x1b]0;owned\x07[red]y")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    command = [*PROGRAM, "models", "add", str(folder), "--no-build"]
    environment = program_environment(tmp_path / "home")
    with PtyProgram(command, columns=100, rows=30, env=environment, cwd=tmp_path) as program:
        program.wait_for("is ready")
    with PtyProgram(
        [*PROGRAM, "models", "show", "x-0-owned-red-y"], columns=100, rows=30, env=environment, cwd=tmp_path
    ) as program:
        program.wait_for("tokenizer.json")
        assert b"\x1b]0;" not in program.output


@pytest.mark.slow
def test_a_pull_in_json_is_lines_that_end_in_the_model_and_can_be_stopped(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with HubServer(repositories={"org/Tiny": tiny_weights(tmp_path / "tiny")}) as hub:
        environment = program_environment(home, {"HF_ENDPOINT": hub.url})
        command = [*PROGRAM, "models", "pull", "org/Tiny", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line).get("phase") == "starting the graph builder":
                os.kill(process.pid, signal.SIGTERM)
                break
        rest = process.stdout.read().splitlines()
        assert process.wait(30) == 128 + signal.SIGTERM
        assert json.loads(rest[-1])["code"] == "stopped"

        done = mtntui(home, "models", "pull", "org/Tiny", "--json", env={"HF_ENDPOINT": hub.url})
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0
        assert {event["event"] for event in events} == {"progress", "log", "done"}
        assert (events[-1]["event"], events[-1]["model"]["name"]) == ("done", "tiny-int4")
        assert events[-1]["model"].keys() == KEYS


@pytest.mark.slow
def test_a_pull_goes_on_when_nobody_reads_any_more(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with HubServer(repositories={"org/Tiny": tiny_weights(tmp_path / "tiny")}) as hub:
        environment = program_environment(home, {"HF_ENDPOINT": hub.url})
        command = [*PROGRAM, "models", "pull", "org/Tiny", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=tmp_path)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
    assert [model["name"] for model in mtntui_json(home, "models", "list")] == ["tiny", "tiny-int4"]
