"""The command line as a whole: usage, errors, pipes, and the way into the screen."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_program import PROGRAM, mtntui, program_environment
from pty_program import PtyProgram

from engine import __version__
from engine.settings import ScreenSettings, Settings
from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.workspace import Workspace
from mtntui.cli.screen import low_bandwidth

COMMANDS = [
    [],
    ["ask"],
    ["chat"],
    ["doctor"],
    ["export"],
    ["host"],
    ["host", "status"],
    ["host", "stop"],
    ["jobs"],
    ["jobs", "cancel"],
    ["jobs", "kinds"],
    ["jobs", "list"],
    ["jobs", "logs"],
    ["jobs", "remove"],
    ["jobs", "resume"],
    ["jobs", "run"],
    ["jobs", "show"],
    ["jobs", "watch"],
    ["logs"],
    ["logs", "list"],
    ["logs", "search"],
    ["logs", "show"],
    ["models"],
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def a_conversation(home: Path, text: str = "Hello") -> str:
    database = Database(Workspace(home).prepare().database)
    conversations = Conversations(database)
    identifier = conversations.create().id
    conversations.add_user_message(identifier, text)
    database.close()
    return identifier


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(home: Path, command: list[str]) -> None:
    done = mtntui(home, *command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(" ".join(["usage: mtntui", *command]))
    assert not home.exists(), "help makes nothing"


def test_the_version(home: Path) -> None:
    assert mtntui(home, "--version").stdout == f"mtntui {__version__}\n"


@pytest.mark.parametrize("arguments", [["no-such"], ["logs"], ["--no-such"], ["logs", "show"], ["logs", "list", "--limit", "-1"]])
def test_wrong_usage_ends_with_2(home: Path, arguments: list[str]) -> None:
    done = mtntui(home, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: mtntui" in done.stderr


def test_options_are_never_abbreviated(home: Path) -> None:
    assert mtntui(home, "logs", "list", "--lim", "1").returncode == 2


def test_a_hostile_argument_is_made_visible(home: Path) -> None:
    with PtyProgram([*PROGRAM, "--\x1b]0;owned\x07"], env=program_environment(home)) as program:
        assert program.wait() == 2
        assert b"\x1b" not in program.output and b"\x07" not in program.output
        assert "owned" in program.output.decode()


@pytest.mark.parametrize(
    ("columns", "env", "said"),
    [(80, {"TERM": "dumb"}, "TERM is dumb"), (80, {"TERM": None}, "TERM is not set"), (80, {"TERM": ""}, "TERM is not set")],
)
@pytest.mark.parametrize("command", [[], ["chat"]])
def test_a_terminal_that_cannot_draw_is_refused(
    home: Path, command: list[str], columns: int, env: dict[str, str | None], said: str
) -> None:
    changes = {**program_environment(home), **env}
    with PtyProgram([*PROGRAM, *command], env=changes) as program:
        assert program.wait() == 1
        assert said in program.text()
        assert "mtntui ask" in program.text()
        assert b"\x1b" not in program.output


def test_without_a_terminal_the_screen_is_refused(home: Path) -> None:
    done = mtntui(home)
    assert done.returncode == 1
    assert "needs a terminal" in done.stderr and "mtntui ask" in done.stderr


def test_a_conversation_that_is_not_there_is_refused_before_anything_is_drawn(home: Path) -> None:
    with PtyProgram([*PROGRAM, "chat", "zzzz"], env=program_environment(home)) as program:
        assert program.wait() == 1
        assert "There is no conversation 'zzzz'" in program.text()
        assert b"\x1b" not in program.output


@pytest.mark.parametrize(
    ("setting", "option", "ssh", "expected"),
    [
        ("auto", None, None, False),
        ("auto", None, "SSH_CONNECTION", True),
        ("auto", None, "SSH_TTY", True),
        ("on", None, None, True),
        ("off", None, "SSH_TTY", False),
        ("on", False, "SSH_TTY", False),
        ("off", True, None, True),
    ],
)
def test_when_the_screen_is_drawn_less_often(
    monkeypatch: pytest.MonkeyPatch, setting: str, option: bool | None, ssh: str | None, expected: bool
) -> None:
    for name in ("SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    if ssh:
        monkeypatch.setenv(ssh, "x")
    settings = Settings(screen=ScreenSettings(low_bandwidth=setting))  # type: ignore[arg-type]
    assert low_bandwidth(settings, option) is expected


@pytest.mark.parametrize("unbuffered", [None, "1"])
def test_a_pipe_that_closes_ends_the_program_quietly(home: Path, unbuffered: str | None) -> None:
    a_conversation(home, "word " * 100_000)
    identifier = json.loads(mtntui(home, "logs", "list", "--json").stdout)[0]["id"]
    process = subprocess.Popen(
        [*PROGRAM, "logs", "show", identifier],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=program_environment(home, {"PYTHONUNBUFFERED": unbuffered}),
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_closed_output_is_no_reason_to_fail(home: Path) -> None:
    command = f"{' '.join(PROGRAM)} logs list >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", command], env=program_environment(home), check=False).returncode == 0


def test_a_full_output_device_is_said(home: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    a_conversation(home)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "logs", "list"], stdout=full, stderr=subprocess.PIPE, env=program_environment(home), check=False
        )
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


def break_a_row(home: Path) -> str:
    """Something nobody foresaw: a row that this program never writes."""
    identifier = a_conversation(home)
    database = Database(Workspace(home).database)
    database.query("UPDATE messages SET parameters = 'no JSON'")
    database.close()
    return identifier


def test_an_unexpected_error_is_a_sentence_and_its_traceback_is_in_the_log(home: Path) -> None:
    done = mtntui(home, "logs", "show", break_a_row(home))
    assert (done.returncode, done.stdout) == (70, "")
    log = home / "logs" / "mtntui.log"
    assert str(log) in done.stderr
    assert "Traceback" not in done.stderr
    assert "JSONDecodeError" in log.read_text() and "Traceback" in log.read_text()


def test_the_traceback_is_shown_to_who_asks(home: Path) -> None:
    done = mtntui(home, "logs", "show", break_a_row(home), env={"MTNTUI_DEBUG": "1"})
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("command", [["logs", "list"], ["ask", "x"], ["host", "stop"]])
def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    done = subprocess.run(
        [*PROGRAM, *command], capture_output=True, text=True, env=program_environment(home), stdin=subprocess.DEVNULL, check=False
    )
    if command == ["host", "stop"]:
        assert done.returncode == 0, "there is no host, and nothing to write"
        return
    assert done.returncode == 1
    assert f"The workspace {home} cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["logs", "list"], ["ask", "x"], ["doctor", "--repair"]])
def test_a_home_that_is_read_only_is_a_sentence(home: Path, command: list[str]) -> None:
    a_conversation(home)
    # Root may write everywhere, unless that power is taken from it.
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if powerless and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and setpriv is not here")
    home.chmod(0o500)
    try:
        done = subprocess.run(
            [*powerless, *PROGRAM, *command],
            capture_output=True,
            text=True,
            env=program_environment(home),
            stdin=subprocess.DEVNULL,
            check=False,
        )
    finally:
        home.chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"The workspace {home} cannot be written: Permission denied." in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[chat]\ntemprature = 1", "Did you mean `chat.temperature`?"),
        ("[chat\n", "cannot be read"),
        ("[chat]\ntemperature = 'hot'", "It takes a number."),
    ],
)
def test_a_settings_file_that_is_wrong_is_said(home: Path, content: str, said: str) -> None:
    home.mkdir()
    (home / "config.toml").write_text(content)
    done = mtntui(home, "logs", "list")
    assert done.returncode == 1
    assert said in done.stderr and "config.toml" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", "--json", ""], "there is no question"),
        (["ask", "--json", "--frob"], "unrecognized arguments: --frob"),
        (["logs", "list", "--json", "--limit", "x"], "argument --limit: 'x'"),
        (["ask", "x", "--json", "--temperature", "9"], "argument --temperature: 9.0 cannot be used. It takes 0 to 5."),
    ],
)
def test_wrong_usage_is_a_line_of_json_for_who_asked_for_it(home: Path, arguments: list[str], said: str) -> None:
    done = mtntui(home, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "usage" and error["message"].startswith(said) and "--help` explains it." in error["hint"]


def test_an_argument_that_only_looks_like_the_option_asks_for_no_json(home: Path) -> None:
    assert "usage: mtntui" in mtntui(home, "logs", "list", "--", "--json").stderr


def test_files_are_private_also_in_a_home_that_is_not(home: Path) -> None:
    home.mkdir(mode=0o755)
    (home / "mtntui.db").touch(0o644)
    (home / "logs").mkdir(mode=0o755)
    (home / "logs" / "mtntui.log").touch(0o644)
    old = os.umask(0o022)
    try:
        assert mtntui(home, "logs", "show", break_a_row(home)).returncode == 70
    finally:
        os.umask(old)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (home / "mtntui.db", home / "logs" / "mtntui.log")}
    assert modes == {"mtntui.db": 0o600, "mtntui.log": 0o600}


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small file system of its own at `folder`."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


needs_mount = pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="only root may mount")


@needs_mount
@pytest.mark.parametrize("command", [["logs", "list"], ["ask", "x"]])
@pytest.mark.parametrize("left", [0, 8192])
def test_a_full_disk_is_called_full(tmp_path: Path, left: int, command: list[str]) -> None:
    with mounted(tmp_path / "disk", "size=1m,mode=700"):
        home = tmp_path / "disk" / "home"
        a_conversation(home)
        filler = home / "filler"
        with filler.open("wb", buffering=0) as file:
            with pytest.raises(OSError, match="No space"):
                while True:
                    file.write(b"x" * 4096)
            file.truncate(file.tell() - left)
        done = mtntui(home, *command)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"The disk that holds {home / 'mtntui.db'} is full." in done.stderr
        found = {check["name"]: check for check in json.loads(mtntui(home, "doctor", "--json").stdout)["checks"]}
        assert f"The disk of {home} is full" in found["workspace"]["message"]
        assert "writable" not in found["workspace"]["message"]
        assert "is full" in found["database"]["message"] and "mtntui doctor" not in found["database"]["remedy"]


@needs_mount
def test_a_read_only_file_system_is_called_so(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,mode=700"):
        home = tmp_path / "disk" / "home"
        a_conversation(home)
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        done = mtntui(home, "logs", "list")
        assert done.returncode == 1
        assert f"The workspace {home} cannot be written: it lies on a read-only file system." in done.stderr
