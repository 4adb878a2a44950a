"""What README shows is what there is."""

import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from engine.settings import Settings, load_settings
from mtntui.cli.parser import parse

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found
    return found


COMMANDS = [
    shlex.split(part, comments=True)
    for block in blocks("sh")
    for line in block.splitlines()
    for part in line.split(" | ")
    if part.startswith("mtntui")
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_is_one(command: list[str]) -> None:
    assert callable(parse(command[1:]).run)


def test_the_settings_are_all_there_with_their_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MTNTUI_HOME", raising=False)
    (block,) = blocks("toml")
    (tmp_path / "config.toml").write_text(block, encoding="utf-8")
    assert load_settings(tmp_path / "config.toml") == Settings()
    shown = tomllib.loads(block)
    for group in fields(Settings):
        value = getattr(Settings(), group.name)
        names = [entry.name for entry in fields(value)] if hasattr(value, "__dataclass_fields__") else []
        assert names == list(shown[group.name] if names else [])


def test_the_two_commands_are_one_line_each() -> None:
    setup = [block for block in blocks("sh") if "venv" in block]
    assert [block.count("\n") for block in setup] == [1, 1]
    assert setup[0].rstrip().endswith(".venv/bin/mtntui")
    assert setup[1].rstrip().endswith("-m pytest")


def test_the_commands_stand_on_the_first_screen() -> None:
    assert README[: README.rindex("-m pytest")].count("\n") < 30
