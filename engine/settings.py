"""What the user may set: environment over `config.toml` over defaults.

`config.toml` has one table per group, as in::

    home = "~/mtntui"

    [chat]
    model = "smollm2-135m"
    temperature = 0.7

    [inference]
    threads = 4

Each field can be overridden by an environment variable named after it: `MTNTUI_HOME`, `MTNTUI_CHAT_MODEL`,
`MTNTUI_INFERENCE_THREADS`.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from engine.errors import InvalidInputError
from engine.workspace import HOME_VARIABLE, Workspace, default_config_file, default_home, expanded

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How replies are asked for."""

    model: str = ""
    """The model that new conversations start with; empty: the one used last."""
    system: str = ""
    """The system prompt of new conversations; empty: the model's own."""
    max_new_tokens: int = 1024
    """The longest reply, in tokens."""
    temperature: float = 0.5
    """0 is greedy; higher is more varied."""
    top_p: float = 0.9
    """Sample from the smallest set of tokens whose probabilities sum to this."""
    top_k: int = 0
    """Sample from this many most likely tokens; 0: all."""
    repetition_penalty: float = 1.05
    """Above 1 makes tokens that already stand in the conversation less likely."""


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """The inference host."""

    threads: int = 0
    """Threads a model computes with; 0: one per physical core."""
    idle_minutes: float = 15
    """The host ends, and frees its memory, when nobody used it for this long."""
    max_loaded_models: int = 2
    """How many models stay in memory at once; the one used least recently goes first."""


@dataclass(frozen=True, slots=True)
class JobSettings:
    """Long work in the background."""

    training: int = 1
    """How many training jobs run at once."""
    processor: int = 1
    """How many jobs that compute on the processor run at once (exports, evaluations)."""
    network: int = 4
    """How many jobs that mostly wait for the network run at once."""
    grace_seconds: float = 15
    """A job that was asked to stop is ended when it has not done so after this long."""


@dataclass(frozen=True, slots=True)
class ScreenSettings:
    """The terminal program's looks."""

    theme: str = "textual-dark"
    """The colour theme's name."""
    low_bandwidth: Literal["auto", "on", "off"] = "auto"
    """Draw less often; "auto" does so over SSH."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, with where each group stands in `config.toml`."""

    home: str = ""
    """The workspace folder; empty: the platform's data directory."""
    chat: ChatSettings = field(default_factory=ChatSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    screen: ScreenSettings = field(default_factory=ScreenSettings)
    keys: dict[str, str] = field(default_factory=dict)
    """Key bindings by their id, as in `chat.stop = "escape,f12"`."""

    @property
    def workspace(self) -> Workspace:
        """The workspace these settings point to; nothing is created."""
        return Workspace((expanded(self.home) if self.home else default_home()).absolute())


def load_settings(config_file: Path | None = None) -> Settings:
    """Read the settings.

    Args:
        config_file: the TOML file; by default `engine.workspace.default_config_file()`. A file that is not there counts as empty.

    Raises:
        InvalidInputError: a setting is unknown or out of range, or the file is no TOML.
    """
    path = config_file or default_config_file()
    settings = Settings()
    for name, value in _read_toml(path).items():
        settings = _apply(settings, name, value, str(path))
    return _apply_environment(settings)


def source_of(name: str) -> str:
    """Where a setting such as `chat.model` gets its value from: an environment variable's name, or the settings file's path."""
    variable = f"MTNTUI_{name}".replace(".", "_").upper()
    return variable if variable in os.environ else str(default_config_file())


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"The settings file {path} cannot be read: {error}.", "Mend it or move it away.") from error


def _apply(settings: Settings, name: str, value: Any, source: str) -> Settings:
    if name not in (known := [f.name for f in fields(Settings)]):
        raise _unknown(name, known, source)
    if name == "keys":
        if not isinstance(value, dict):
            raise InvalidInputError(
                f"`keys` in {source} is no table.",
                'Write it as [keys] with lines such as "chat.stop" = "escape".',
            )
        return replace(settings, keys={str(k): str(v) for k, v in _flatten(value).items()})
    group = getattr(settings, name)
    if not hasattr(group, "__dataclass_fields__"):
        return replace(settings, **{name: _convert(str, value, name, source)})
    if not isinstance(value, dict):
        raise InvalidInputError(f"`{name}` in {source} is no table.", f"Write it as [{name}] with one line per setting.")
    hints = get_type_hints(type(group))
    for key, entry in value.items():
        if key not in hints:
            raise _unknown(f"{name}.{key}", [f"{name}.{known}" for known in hints], source)
        group = replace(group, **{key: _convert(hints[key], entry, f"{name}.{key}", source)})
    return replace(settings, **{name: group})


def _flatten(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`chat.stop = "escape"` is a nested table to TOML and one id to us."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _apply_environment(settings: Settings) -> Settings:
    if home := os.environ.get(HOME_VARIABLE):
        settings = replace(settings, home=home)
    for group_field in fields(Settings):
        group = getattr(settings, group_field.name)
        if not hasattr(group, "__dataclass_fields__"):
            continue
        for entry in fields(group):
            variable = f"MTNTUI_{group_field.name}_{entry.name}".upper()
            if (value := os.environ.get(variable)) is not None:
                settings = _apply(settings, group_field.name, {entry.name: value}, variable)
    return settings


def _unknown(name: str, known: list[str], source: str) -> InvalidInputError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(known)}."
    return InvalidInputError(f"There is no setting `{name}` ({source}).", hint)


_BOUNDS: dict[str, tuple[float, float]] = {
    "chat.max_new_tokens": (1, 1_000_000),
    "chat.temperature": (0, 5),
    "chat.top_p": (0, 1),
    "chat.top_k": (0, 1_000_000),
    "chat.repetition_penalty": (0.1, 10),
    "inference.threads": (0, 1024),
    "inference.idle_minutes": (0.01, 100_000),
    "inference.max_loaded_models": (1, 100),
    "jobs.training": (1, 100),
    "jobs.processor": (1, 100),
    "jobs.network": (1, 100),
    "jobs.grace_seconds": (0, 3600),
}


def _convert(kind: Any, value: Any, name: str, source: str) -> Any:
    """`value` as `kind`, from a TOML value or an environment variable's text."""
    allowed = getattr(kind, "__args__", None)
    try:
        if allowed:
            if value not in allowed:
                raise ValueError
            return value
        if kind is str:
            if not isinstance(value, str):
                raise ValueError
            return value
        if kind is bool:
            return _boolean(value)
        if isinstance(value, bool):
            raise ValueError
        number = kind(value)
        if kind is int and isinstance(value, float) and number != value:
            raise ValueError
    except (ValueError, TypeError, OverflowError) as error:
        wanted = (
            " or ".join(map(repr, allowed))
            if allowed
            else {str: "text", bool: "true or false", int: "a whole number", float: "a number"}[kind]
        )
        raise InvalidInputError(f"`{name}` is {value!r} ({source}).", f"It takes {wanted}.") from error
    low, high = _BOUNDS.get(name, (float("-inf"), float("inf")))
    if not low <= number <= high:
        raise InvalidInputError(f"`{name}` is {value!r} ({source}).", f"It takes {low:,} to {high:,}.")
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError
