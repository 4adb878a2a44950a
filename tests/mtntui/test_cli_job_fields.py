"""Configurations as text: `--set`, TOML files, and what `mtntui jobs kinds` tells of their fields."""

import sys
import tomllib
from pathlib import Path
from typing import Any, Literal

import pytest
from cli_program import mtntui
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from engine.errors import InvalidInputError
from engine.jobs.kinds import Kind
from mtntui.cli.job_fields import as_toml, completed, fields_of, toml_value, with_changes


class Adapter(BaseModel):
    rank: int = Field(8, ge=1, le=256, title="Rank", description="Of the adapter.")
    bits: Literal[4, 8] | None = None


class Training(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1)
    rate: float = Field(1e-4, gt=0, lt=1)
    layers: list[int] = Field(default_factory=lambda: [1], max_length=3)
    tags: list[str] = []
    steps: int | None = Field(None, ge=1)
    packed: bool = False
    weights: dict[str, float] = {}
    adapter: Adapter = Adapter()


TRAINING = Kind("training", "Train", "Train {model}", "training", f"{__name__}:Training", "-:-")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module() -> Any:
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("model=3", {"model": "3"}),
        ("model=", {"model": ""}),
        ("model=a=b", {"model": "a=b"}),
        ("rate=1e-3", {"rate": 1e-3}),
        ("layers=[1, 2]", {"layers": [1, 2]}),
        ("layers=1,2", {"layers": [1, 2]}),
        ("layers=7", {"layers": [7]}),
        ("tags=a, b", {"tags": ["a", "b"]}),
        ("steps=none", {"steps": None}),
        ("steps=5", {"steps": 5}),
        ("packed=yes", {"packed": True}),
        ('weights={ a = 0.5, "b c" = 2 }', {"weights": {"a": 0.5, "b c": 2.0}}),
        ("adapter.rank=16", {"adapter": {"rank": 16}}),
        ("adapter.bits=4", {"adapter": {"bits": 4}}),
        ("adapter.bits=none", {"adapter": {"bits": None}}),
    ],
)
def test_a_value_is_read_as_its_field_takes_it(change: str, expected: dict[str, Any]) -> None:
    if change == "model=":
        with pytest.raises(InvalidInputError, match="at least 1 character"):
            with_changes(TRAINING, {}, [change])
        return
    assert with_changes(TRAINING, {}, [change]) == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("rate=2", "rate: input should be less than 1 (it is '2')"),
        ("rate=fast", "rate: input should be a valid number, unable to parse string as a number (it is 'fast')"),
        ("steps=0", "steps: input should be greater than or equal to 1 (it is '0')"),
        ("steps=true", "steps: input should be a valid integer"),
        ("adapter.rank=1000", "adapter.rank: input should be less than or equal to 256 (it is '1000')"),
        ("adapter.rang=1", "The training job has no field 'adapter.rang'. Did you mean adapter.rank?"),
        ("adapter=1", "The training job has no field 'adapter'."),
        ("model.name=1", "The training job has no field 'model.name'."),
        ("rate", "--set rate sets nothing."),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_field_and_what_is_allowed(change: str, said: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        with_changes(TRAINING, {}, [change])
    assert said in str(error.value)


def test_changes_leave_what_they_change_as_it_was() -> None:
    values = {"model": "a", "adapter": {"rank": 4}}
    assert with_changes(TRAINING, values, ["adapter.bits=8"])["adapter"] == {"rank": 4, "bits": 8}
    assert values == {"model": "a", "adapter": {"rank": 4}}


def test_fields_are_told_with_types_bounds_and_groups() -> None:
    fields = {field.name: field for field in fields_of(TRAINING)}
    assert list(fields) == ["model", "rate", "layers", "tags", "steps", "packed", "weights", "adapter.rank", "adapter.bits"]
    assert (fields["rate"].type, fields["rate"].bounds) == ("number", "above 0, below 1")
    assert (fields["steps"].type, fields["steps"].bounds, fields["steps"].required) == ("whole number or none", "from 1", False)
    assert (fields["adapter.rank"].title, fields["adapter.rank"].bounds) == ("Rank", "from 1, to 256")
    assert (fields["adapter.rank"].default, fields["layers"].default) == (8, [1])
    assert fields["adapter.bits"].choices == [4, 8]
    assert fields["model"].required


def test_a_configuration_without_its_required_fields_is_a_template() -> None:
    text = as_toml(TRAINING, completed(TRAINING, {"adapter": {"rank": 4}}))
    assert "# model =" in text.splitlines()
    assert "# Of the adapter. whole number, from 1, to 256" in text
    assert tomllib.loads(text)["adapter"] == {"rank": 4}
    assert tomllib.loads(text.replace("# model =", 'model = "a"'))["model"] == "a"
    with pytest.raises(InvalidInputError, match="rate: input should be less than 1"):
        completed(TRAINING, {"rate": 2})


@given(
    st.builds(
        Training,
        model=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        rate=st.floats(0, 1, exclude_min=True, exclude_max=True),
        tags=st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
        weights=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False)),
    )
)
def test_a_configuration_comes_back_from_its_file_as_it_went_in(config: Training) -> None:
    sys.modules[__name__] = sys.modules.get(__name__) or _this_module()
    text = as_toml(TRAINING, config.model_dump(mode="json"))
    assert Training.model_validate(tomllib.loads(text)) == config


@given(st.recursive(st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(), st.lists))
def test_any_value_is_toml(value: Any) -> None:
    try:
        text = toml_value(value)
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which no file holds
        return
    assert tomllib.loads(f"x = {text}")["x"] == value


def test_what_print_config_writes_is_what_config_reads(tmp_path: Path) -> None:
    home = tmp_path / "home"
    printed = mtntui(home, "jobs", "run", "export", "--set", "model=tiny", "--set", "precision=int8", "--print-config")
    assert printed.returncode == 0 and not home.exists()
    (tmp_path / "export.toml").write_text(printed.stdout, encoding="utf-8")
    again = mtntui(home, "jobs", "run", "export", "--config", str(tmp_path / "export.toml"), "--print-config")
    assert again.stdout == printed.stdout
    (tmp_path / "broken.toml").write_text("model = ")
    done = mtntui(home, "jobs", "run", "export", "--config", str(tmp_path / "broken.toml"))
    assert done.returncode == 1 and "broken.toml cannot be read: Invalid value" in done.stderr
    done = mtntui(home, "jobs", "run", "export", "--into", "model")
    assert done.returncode == 2 and "--into needs --after" in done.stderr
