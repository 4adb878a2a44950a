"""Settings: environment over file over defaults, and errors that name what is wrong."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from engine.errors import InvalidInputError
from engine.inference.types import SamplingParameters
from engine.settings import Settings, load_settings
from engine.workspace import default_home


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("MTNTUI_"):
            monkeypatch.delenv(name)


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "absent.toml") == Settings()
    assert load_settings(tmp_path / "absent" / "config.toml") == Settings()
    (tmp_path / "file").write_text("")
    assert load_settings(tmp_path / "file" / "config.toml") == Settings()


def test_the_file_is_over_the_defaults_and_the_environment_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[chat]\nmodel = "a"\ntemperature = 0.5\n[inference]\nthreads = 2\n'
    monkeypatch.setenv("MTNTUI_CHAT_MODEL", "b")
    monkeypatch.setenv("MTNTUI_INFERENCE_IDLE_MINUTES", "2.5")
    settings = load(tmp_path, text)
    assert (settings.chat.model, settings.chat.temperature) == ("b", 0.5)
    assert (settings.inference.threads, settings.inference.idle_minutes) == (2, 2.5)
    assert settings.chat.top_p == Settings().chat.top_p


def test_whole_numbers_do_for_numbers_but_not_the_other_way(tmp_path: Path) -> None:
    assert load(tmp_path, "[chat]\ntemperature = 1").chat.temperature == 1.0
    assert load(tmp_path, "[chat]\ntop_k = 5.0").chat.top_k == 5
    with pytest.raises(InvalidInputError, match="whole number"):
        load(tmp_path, "[chat]\ntop_k = 5.5")


def test_key_bindings_are_ids_with_dots(tmp_path: Path) -> None:
    settings = load(tmp_path, '[keys]\nchat.stop = "escape,ctrl+c"\n"chat.send" = "enter"\n')
    assert settings.keys == {"chat.stop": "escape,ctrl+c", "chat.send": "enter"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[chat]\ntemprature = 1", "There is no setting `chat.temprature`.*Did you mean `chat.temperature`"),
        ("[caht]\nmodel = 'x'", "There is no setting `caht`.*Did you mean `chat`"),
        ("[chat]\nxyzzy = 1", "There is no setting `chat.xyzzy`.*There are: chat.model"),
        ("chat = 3", "`chat` in .* is no table"),
        ("keys = 3", "`keys` in .* is no table"),
        ("home = 3", "`home` is 3.*It takes text"),
        ("[chat]\nmodel = 3", "`chat.model` is 3.*It takes text"),
        ("[chat]\ntemperature = 'hot'", "`chat.temperature` is 'hot'.*It takes a number"),
        ("[chat]\ntemperature = true", "`chat.temperature` is True.*It takes a number"),
        ("[chat]\ntemperature = 9", "`chat.temperature` is 9.*It takes 0 to 5"),
        ("[chat]\ntemperature = nan", "`chat.temperature` is nan.*It takes 0 to 5"),
        ("[chat]\nmax_new_tokens = 0", "`chat.max_new_tokens` is 0.*It takes 1 to"),
        ("[screen]\nlow_bandwidth = 'sometimes'", "'auto' or 'on' or 'off'"),
        ("[chat", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        load(tmp_path, text)
    assert re.search(message, str(caught.value), re.DOTALL)
    assert "config.toml" in caught.value.message


def test_a_variable_that_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTNTUI_CHAT_TOP_P", "2")
    with pytest.raises(InvalidInputError, match="MTNTUI_CHAT_TOP_P"):
        load(tmp_path, "")


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_settings(tmp_path / "config.toml")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_settings(tmp_path)


def test_the_home_comes_from_the_variable_then_the_setting_then_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings().workspace.home == default_home()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(tmp_path, 'home = "~/chats"').workspace.home == tmp_path / "chats"
    monkeypatch.setenv("MTNTUI_HOME", str(tmp_path / "other"))
    assert load(tmp_path, 'home = "~/chats"').workspace.home == tmp_path / "other"


def test_the_file_is_looked_for_in_the_home_of_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTNTUI_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text("[chat]\ntop_k = 7\n")
    assert load_settings().chat.top_k == 7


def test_every_default_is_a_value_that_is_taken(tmp_path: Path) -> None:
    lines = []
    for group_field in fields(Settings):
        group = getattr(Settings(), group_field.name)
        if hasattr(group, "__dataclass_fields__"):
            lines.append(f"[{group_field.name}]")
            lines += [f"{entry.name} = {getattr(group, entry.name)!r}" for entry in fields(group)]
    assert load(tmp_path, "\n".join(lines)) == Settings()
    chat = Settings().chat
    SamplingParameters(chat.max_new_tokens, chat.temperature, chat.top_p, chat.top_k, chat.repetition_penalty)


def test_a_number_without_end_is_no_whole_number(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="max_new_tokens"):
        load(tmp_path, "[chat]\nmax_new_tokens = inf\n")


@pytest.mark.parametrize("home", ["~nosuchuser/mtntui", "a\\u0000b"])
def test_a_home_that_is_no_path_is_named(tmp_path: Path, home: str) -> None:
    settings = load(tmp_path, f'home = "{home}"')
    with pytest.raises(InvalidInputError, match="is no folder"):
        _ = settings.workspace


def test_the_home_of_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTNTUI_HOME", "~nosuchuser/mtntui")
    with pytest.raises(InvalidInputError, match="~nosuchuser"):
        load_settings()
