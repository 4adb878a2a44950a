"""The fields of a job's configuration, as its pydantic model tells them: for people, and for values that come as text."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidInputError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from engine.jobs.kinds import Kind

_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "multiples of {}",
    "minLength": "{} letters or more",
    "maxLength": "{} letters at most",
    "minItems": "{} or more",
    "maxItems": "{} at most",
    "pattern": "like {}",
}
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "array": "list"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a configuration.

    Attributes:
        name: with dots where it lies in a group of fields, as `--set` takes it.
        type: for people ("text", "whole number"); choices are named apart.
        default: as JSON has it; None where it is required.
        bounds: for people ("from 0", "below 1"), in one line; empty: none.
        limits: the same as JSON Schema has them (`minimum`, `maxLength`, …).
        choices: the only values that it takes; empty: any of its type.
    """

    name: str
    title: str
    type: str
    required: bool
    default: Any
    bounds: str
    limits: dict[str, Any]
    choices: list[Any]
    help: str


def fields_of(kind: Kind) -> list[Field]:
    """The fields of a kind's configuration, groups taken apart."""
    model = kind.load_config()
    schema = model.model_json_schema()
    return list(_fields(schema, schema.get("$defs", {}), _defaults(model), ""))


def _fields(schema: Mapping[str, Any], shared: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str) -> Iterable[Field]:
    for name, part in schema.get("properties", {}).items():
        group = _resolved(part, shared)
        if group.get("properties"):
            yield from _fields(group, shared, defaults.get(name, {}), f"{prefix}{name}.")
        else:
            yield _field(f"{prefix}{name}", part, shared, name not in defaults, defaults.get(name))


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a model's fields as JSON has them; the schema lacks those that a function makes."""
    from pydantic import TypeAdapter

    defaults: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if not field.is_required():
            defaults[name] = TypeAdapter(Any).dump_python(field.get_default(call_default_factory=True), mode="json")
        elif (group := _group(field)) is not None:
            defaults[name] = _defaults(group)
    return defaults


def _field(name: str, part: Mapping[str, Any], shared: Mapping[str, Any], required: bool, default: Any) -> Field:
    options = [_resolved(option, shared) for option in part.get("anyOf", [part])]
    limits = {key: option[key] for option in options for key in _BOUNDS if key in option}
    choices = [value for option in options for value in option.get("enum", [option["const"]] if "const" in option else [])]
    types = [_TYPES.get(option.get("type", ""), option.get("type", "any")) for option in options]
    return Field(
        name,
        part.get("title", name),
        " or ".join(dict.fromkeys("none" if kind == "null" else kind for kind in types)),
        required,
        default,
        ", ".join(_BOUNDS[key].format(limit) for key, limit in limits.items()),
        limits,
        choices,
        part.get("description", ""),
    )


def _resolved(part: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a schema with what it refers to."""
    if "$ref" in part:
        return {**shared[part["$ref"].rpartition("/")[2]], **{key: value for key, value in part.items() if key != "$ref"}}
    return dict(part)


def read_config(path: Path) -> dict[str, Any]:
    """A configuration from a TOML file.

    Raises:
        InvalidInputError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidInputError(
            f"The configuration {path} cannot be read: {said.rstrip('.')}.", "`mtntui jobs run KIND --print-config` writes one."
        ) from error


def with_changes(kind: Kind, values: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """A configuration's values with those of `--set` over them.

    Args:
        changes: each `field=value`, with dots in the field's name where it lies in a group.

    Raises:
        InvalidInputError: there is no such field, or it does not take such a value.
    """
    changed = dict(values)
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise InvalidInputError(f"--set {change} sets nothing.", "Write it as --set FIELD=VALUE.")
        field = _find(kind, name.strip())
        place = changed
        *groups, last = name.strip().split(".")
        for group in groups:
            place[group] = dict(place[group]) if isinstance(place.get(group), Mapping) else {}
            place = place[group]
        place[last] = _parsed(kind, name.strip(), field, text)
    return changed


def _find(kind: Kind, name: str) -> FieldInfo:
    """The model's field of this name."""
    model: Any = kind.load_config()
    *groups, last = name.split(".")
    for group in groups:
        found = model.model_fields.get(group) if model is not None else None
        model = _group(found) if found is not None else None
    if model is not None and last in model.model_fields and _group(model.model_fields[last]) is None:
        field: FieldInfo = model.model_fields[last]
        return field
    known = [field.name for field in fields_of(kind)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(known)}."
    raise InvalidInputError(f"The {kind.name} job has no field {name!r}.", hint)


def _group(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a group of fields."""
    from pydantic import BaseModel

    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _parsed(kind: Kind, name: str, field: FieldInfo, text: str) -> Any:
    """What a text means to a field: itself where it takes text, else the TOML value that it is.

    Raises:
        InvalidInputError: the field takes neither.
    """
    from pydantic import TypeAdapter, ValidationError

    from engine.jobs.kinds import complaints

    adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
    said = ""
    for value in _meanings(text):
        try:
            return adapter.dump_python(adapter.validate_python(value), mode="json")
        except ValidationError as error:
            said = said or next(iter(complaints(error).values())).partition(": ")[2]
    raise InvalidInputError(
        f"The configuration of the {kind.name} job cannot be used: {name}: {said}.",
        f"`mtntui jobs kinds {kind.name}` shows its fields.",
    )


def _meanings(text: str) -> list[Any]:
    """What a text on the command line can stand for, the likeliest first."""
    meanings: list[Any] = [text]
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = None if text.strip().lower() in {"none", "null"} else text
    if not isinstance(value, bool):  # a field that takes one takes the text; a number would take it for 1
        meanings.append(value)
    return [*meanings, [part.strip() for part in text.split(",")]]


def completed(kind: Kind, values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration's values with the defaults of the fields that it lacks; required ones may be missing.

    Raises:
        InvalidInputError: some values cannot be used.
    """
    from pydantic import ValidationError

    try:
        return kind.load_config().model_validate(dict(values)).model_dump(mode="json")
    except ValidationError as error:
        if any(part["type"] != "missing" for part in error.errors()):
            kind.validate(values)
    filled = deepcopy(dict(values))
    for field in fields_of(kind):
        place = filled
        *groups, last = field.name.split(".")
        for group in groups:
            place = place.setdefault(group, {})
        if not field.required:
            place.setdefault(last, field.default)
    return filled


def as_toml(kind: Kind, values: Mapping[str, Any]) -> str:
    """A configuration as a TOML file that `--config` reads, with what each field means; without a value it is a comment."""
    lines = [f"# {kind.label}: mtntui jobs run {kind.name} --config FILE"]
    group = ""
    for field in sorted(fields_of(kind), key=lambda field: field.name.rpartition(".")[0]):
        inside, _, last = field.name.rpartition(".")
        if inside != group:
            lines += ["", f"[{inside}]"]
            group = inside
        place: Any = values
        for part in filter(None, inside.split(".")):
            place = place.get(part, {})
        value = place.get(last)
        about = ". ".join(filter(None, [field.help.rstrip("."), _allowed(field)]))
        lines += ["", f"# {' '.join(about.split())}"] if about else [""]
        lines.append(f"{last} = {toml_value(value)}" if value is not None else f"# {last} =")
    return "\n".join(lines) + "\n"


def _allowed(field: Field) -> str:
    """What a field takes, in one line."""
    kinds = " or ".join(map(str, field.choices)) or field.type
    return ", ".join(filter(None, [kinds, field.bounds, "required" if field.required else ""]))


def toml_value(value: Any) -> str:
    """A value that JSON holds as TOML writes it; `None` inside a list has no place there.

    Raises:
        InvalidInputError: TOML cannot hold it.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_quoted(str(key))} = {toml_value(entry)}" for key, entry in value.items()) + " }"
    raise InvalidInputError(f"{value!r} cannot be written as TOML.", "Leave the field out.")


def _quoted(text: str) -> str:
    """A JSON string is a TOML string, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
