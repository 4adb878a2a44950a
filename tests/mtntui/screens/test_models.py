"""Choosing and fetching models on the screen."""

import sys
import textwrap

import pytest
from cli_program import add_tiny_model

from mtntui.screens.model_picker import ModelPicker
from mtntui.widgets.welcome import Welcome

from .chat_app import chat_app, send, settings_for, type_text, until


def words(screen):
    return str(screen.query_one(Welcome).query_one("#words").render())


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
    """A stand-in for the Python that runs `mtntui models pull`: it reports as the command does, and installs a tiny model."""
    program = tmp_path / "python"
    program.write_text(
        textwrap.dedent(f"""\
        #!{sys.executable}
        import json, os, sys, time
        from pathlib import Path
        sys.path[:0] = {sys.path!r}
        from cli_program import add_tiny_model
        def say(**event): print(json.dumps(event), flush=True)
        say(event="progress", phase="downloading", done=25_000_000, total=100_000_000, unit="B")
        print("a library that prints", flush=True)
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
        assert "tries again" in words(screen)


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
