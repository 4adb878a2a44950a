"""Runs `mtntui` as a user does: a process of its own, in a workspace of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiny_models import tiny_graph

from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-m", "mtntui")
_SURROUNDINGS = {"HF_TOKEN", "ANTHROPIC_API_KEY", "HF_ENDPOINT", "TMUX", "SSH_CONNECTION", "SSH_TTY", "NO_COLOR", "TEXTUAL_FPS"}


def program_environment(home: Path, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Variables for a run in the workspace `home`, whatever the surroundings set; None removes one."""
    kept = {k: v for k, v in os.environ.items() if k not in _SURROUNDINGS and not k.startswith("MTNTUI_")}
    merged: dict[str, str | None] = {**kept, "MTNTUI_HOME": str(home), "PYTHONPATH": str(ROOT), **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


def mtntui(
    home: Path,
    *arguments: str | bytes,
    stdin: str | bytes = b"",
    env: Mapping[str, str | None] | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; its output comes as text, decoded strictly as UTF-8."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*PROGRAM, *arguments],
        input=data,
        capture_output=True,
        env=program_environment(home, env),
        timeout=timeout,
        cwd=home.parent,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def mtntui_json(home: Path, *arguments: str, status: int = 0) -> Any:
    """What a command writes with `--json`, after checking its exit status."""
    done = mtntui(home, *arguments, "--json")
    assert done.returncode == status, done
    return json.loads(done.stdout)


def the_rest(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What a program writes until it ends, after lines that were read; `communicate` would lose what was buffered with them."""
    output = process.stdout.read() if process.stdout is not None else ""
    errors = process.stderr.read() if process.stderr is not None else ""
    process.wait(30)
    return output, errors


def add_tiny_model(home: Path, *, name: str = "tiny", context: int = 512) -> None:
    """Put a tiny random model into the workspace; it never ends a turn by itself, so its replies are as long as is asked for."""
    workspace = Workspace(home).prepare()
    graph = tiny_graph(workspace.models, context=context)
    graph = graph.rename(graph.with_name(name))
    config = json.loads((graph / "genai_config.json").read_text())
    config["model"]["eos_token_id"] = config["model"]["vocab_size"]
    (graph / "genai_config.json").write_text(json.dumps(config))
    database = Database(workspace.database)
    Models(database).put(ModelRecord(name, "onnx", graph, context_length=context))
    database.close()
