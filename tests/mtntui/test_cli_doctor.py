"""`mtntui doctor`: it finds what is wrong, says what to do, and repairs a damaged database."""

import http.server
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_program import PROGRAM, add_tiny_model, mtntui, mtntui_json, program_environment
from pty_program import PtyProgram
from tiny_models import tiny_graph, tiny_weights

from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace with one conversation of 60 messages."""
    home = tmp_path / "home"
    database = Database(Workspace(home).prepare().database)
    conversations = Conversations(database)
    identifier = conversations.create(title="Kept").id
    for number in range(60):
        conversations.add_user_message(identifier, f"message {number} " * 40)
    database.close()
    return home


def checks(home: Path, *arguments: str, status: int = 0) -> dict[str, dict[str, Any]]:
    result = mtntui_json(home, "doctor", *arguments, status=status)
    assert result["ok"] is (status == 0)
    assert all(set(check) == {"name", "status", "message", "remedy"} for check in result["checks"])
    assert all(check["remedy"] for check in result["checks"] if check["status"] != "ok")
    return {check["name"]: check for check in result["checks"]}


def test_a_fresh_machine_is_well(tmp_path: Path) -> None:
    found = checks(tmp_path / "home")
    assert {name for name, check in found.items() if check["status"] == "fail"} == set()
    assert {"python", "sqlite", "settings", "workspace", "database", "host", "processor", "memory", "onnxruntime"} <= set(found)
    assert "CPU" in found["onnxruntime"]["message"]


def test_a_person_reads_a_line_per_check(home: Path) -> None:
    done = mtntui(home, "doctor")
    assert done.returncode == 0
    assert "ok    database: The database is sound (conversations: 1, messages: 60" in done.stdout


def test_secrets_are_never_shown(home: Path) -> None:
    done = mtntui(home, "doctor", env={"HF_TOKEN": "hf_verysecret", "ANTHROPIC_API_KEY": "sk-ant-verysecret"})
    assert "HF_TOKEN is set, ANTHROPIC_API_KEY is set" in done.stdout
    assert "verysecret" not in done.stdout + done.stderr


def test_settings_that_are_wrong_are_a_finding_and_the_rest_is_still_looked_at(home: Path) -> None:
    (home / "config.toml").write_text("[chat]\ntemperature = 99\n")
    found = checks(home, status=1)
    assert found["settings"]["status"] == "fail"
    assert "99" in found["settings"]["message"]
    assert found["database"]["status"] == "ok"


def test_a_home_that_cannot_be_written_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [*PROGRAM, "doctor"],
        capture_output=True,
        text=True,
        env=program_environment(tmp_path / "file" / "home"),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 1
    assert "fail  workspace:" in done.stdout
    assert done.stderr == ""


def test_model_files_that_are_gone_are_a_finding(home: Path) -> None:
    database = Database(home / "mtntui.db")
    Models(database).put(ModelRecord("lost", "onnx", home / "models" / "lost"))
    database.close()
    found = checks(home, status=1)
    assert found["models"]["status"] == "fail"
    assert "lost" in found["models"]["message"] and "mtntui models remove lost" in found["models"]["remedy"]


def test_more_threads_than_cores_is_a_warning(home: Path) -> None:
    (home / "config.toml").write_text("[inference]\nthreads = 1000\n")
    assert checks(home)["processor"]["status"] == "warn"


def damage_middle(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(random.Random(3).randbytes(2 * 4096))


def damage_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(random.Random(4).randbytes(100))


def damage_end(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 3 // 4)


@pytest.mark.parametrize("damage", [damage_middle, damage_header, damage_end])
def test_a_damaged_database_is_found_and_repaired(home: Path, damage: Any) -> None:
    path = home / "mtntui.db"
    damage(path)
    damaged = path.read_bytes()
    found = checks(home, status=1)
    assert found["database"]["status"] == "fail"
    assert "mtntui doctor --repair" in found["database"]["remedy"]
    listed = mtntui(home, "logs", "list")
    assert "Traceback" not in listed.stderr

    result = mtntui_json(home, "doctor", "--repair")

    assert result["ok"] is True
    repair = result["repair"]
    assert Path(repair["kept"]).read_bytes() == damaged
    assert repair["rows"]["messages"] + repair["missing_messages"] <= 60
    assert repair["rows"]["messages"] >= 10
    (conversation,) = mtntui_json(home, "logs", "list")
    shown = mtntui_json(home, "logs", "show", conversation["id"])["messages"]
    assert len(shown) == repair["rows"]["messages"]
    assert {message["content"] for message in shown} <= {f"message {number} " * 40 for number in range(60)}
    assert mtntui_json(home, "doctor", "--repair")["repair"] is None, "it is sound now"


def test_a_repair_tells_a_person_what_it_did(home: Path) -> None:
    damage_header(home / "mtntui.db")
    done = mtntui(home, "doctor", "--repair")
    assert done.returncode == 0
    assert "is kept as" in done.stdout and "Saved conversations: 1, messages: 60." in done.stdout
    assert "nothing to repair" in mtntui(home, "doctor", "--repair").stdout


def test_a_running_host_is_stopped_for_the_repair(home: Path) -> None:
    add_tiny_model(home)
    assert mtntui(home, "ask", "Hello", "--max-new-tokens", "2").returncode == 3
    damage_header(home / "mtntui.db")
    done = mtntui(home, "doctor", "--repair")
    assert done.returncode == 0, done
    assert "The inference host was stopped" in done.stderr
    assert mtntui(home, "ask", "Hello again", "--max-new-tokens", "2").returncode == 3
    mtntui(home, "host", "stop")


def test_a_database_of_a_newer_version_is_never_repaired(home: Path) -> None:
    path = home / "mtntui.db"
    database = Database(path)
    database.query("PRAGMA user_version = 9999")
    database.close()
    before = path.read_bytes()
    done = mtntui(home, "doctor", "--repair")
    assert done.returncode == 1
    assert "newer mtntui" in done.stderr
    assert path.read_bytes() == before
    assert checks(home, status=1)["database"]["message"].startswith("The database was made by a newer mtntui")


class _Counter(http.server.BaseHTTPRequestHandler):
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        self.send_error(503)

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """A server in the Hub's place that counts who asks."""
    requests: list[str] = []
    server = http.server.HTTPServer(("127.0.0.1", 0), type("Handler", (_Counter,), {"requests": requests}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_network_is_asked_only_when_the_user_says_so(home: Path, hub: tuple[str, list[str]]) -> None:
    address, requests = hub
    env = {"HF_ENDPOINT": address, "PIP_INDEX_URL": f"{address}/simple", "PIP_CONFIG_FILE": "/dev/null", "PIP_FIND_LINKS": None}
    assert mtntui(home, "doctor", env=env).returncode == 0
    assert requests == []
    done = mtntui(home, "doctor", "--network", env=env)
    assert done.returncode == 0, "without a network everything that is there still works"
    assert any(path.startswith("/api/models/") for path in requests)
    assert any(path.startswith("/simple/") for path in requests)
    assert "warn  hub: 127.0.0.1 answered 503" in done.stdout


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"TERM": "dumb"}, "warn  terminal"),
        ({"TERM": "xterm-256color"}, "256 colours"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "16 million colours"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "without colours"),
        ({"TERM": "xterm", "SSH_TTY": "/dev/pts/9"}, "This is an SSH session"),
        ({"TERM": "screen", "TMUX": "/nowhere,1,0"}, "tmux"),
    ],
)
def test_the_terminal_is_looked_at(home: Path, env: dict[str, str], said: str) -> None:
    if "TMUX" in env and shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    with PtyProgram([*PROGRAM, "doctor"], columns=120, rows=50, env={**program_environment(home), **env}) as program:
        assert program.wait(60) == 0
        assert said in program.text()


def test_a_small_window_is_a_warning(home: Path) -> None:
    with PtyProgram([*PROGRAM, "doctor"], columns=50, rows=60, env=program_environment(home)) as program:
        assert program.wait(60) == 0
        assert "warn  terminal" in program.text()


def test_settings_without_effect_are_a_finding(home: Path) -> None:
    (home / "config.toml").write_text(
        '[chat]\nmodel = "nope"\n[screen]\ntheme = "mud"\n'
        '[keys]\nchat.stop = "ctrl+banana"\nprompt.send = "f9"\nchat.neww = "f20"\n'
    )
    found = checks(home)
    assert found["settings"]["status"] == "warn"
    for said in (
        f"There is no theme named 'mud' ({home / 'config.toml'})",
        f"{home / 'config.toml'} gives chat.stop the key 'ctrl+banana', which does not exist",
        "gives prompt.send the key f9, which chat.copy has as well",
        "gives a key to chat.neww, which does not exist. Did you mean chat.new?",
    ):
        assert said in found["settings"]["message"]
    assert found["chat model"]["status"] == "warn"
    assert f"`chat.model` is 'nope' ({home / 'config.toml'})" in found["chat model"]["message"]


def test_a_home_that_others_can_read_is_a_warning(home: Path) -> None:
    home.chmod(0o755)
    found = checks(home)["permissions"]
    assert found["status"] == "warn" and "755" in found["message"] and f"chmod 700 {home}" in found["remedy"]


def test_a_repair_puts_models_on_record_again(home: Path) -> None:
    weights = tiny_weights(home / "models" / "small")
    graph = tiny_graph(home / "models")
    graph.rename(graph.with_name("small-int4"))
    (home / "models" / "notes").mkdir()
    half = home / "models" / "half"
    shutil.copytree(weights, half)
    (half / "tokenizer.json").unlink()
    assert "small, small-int4" in checks(home)["forgotten models"]["message"]
    damage_header(home / "mtntui.db")

    result = mtntui_json(home, "doctor", "--repair")

    assert result["adopted_models"] == ["small", "small-int4"]
    models = {model["name"]: model for model in mtntui_json(home, "models", "list")}
    assert set(models) == {"small", "small-int4"}
    assert (models["small"]["architecture"], models["small"]["chats"]) == ("LlamaForCausalLM", False)
    assert (models["small-int4"]["parent"], models["small-int4"]["chats"]) == ("small", True)
    assert all(model["state"] == "ready" for model in models.values())
    assert mtntui_json(home, "doctor", "--repair")["adopted_models"] == []
