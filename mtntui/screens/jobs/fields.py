"""A job's configuration as a form has it: fields described for people, and values made of what they typed.

Pydantic is loaded by these functions, not with this module: they are called in a thread when a form opens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from engine.jobs.kinds import Kind, complaints

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from engine.store.models import ModelRecord


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form.

    Attributes:
        name: in the configuration.
        title, help: for people; the help ends with the bounds.
        value: what stands in it at first, as text.
        options: what can be chosen; None: any text can be typed.
        textual: whether its value is text, which may be empty.
        optional: whether None is a value, which an empty text stands for.
        source: what on record the options come from ("weights"); a job before this one can make it.
    """

    name: str
    title: str
    help: str
    value: str
    options: tuple[str, ...] | None
    textual: bool
    optional: bool
    source: str


def fields_of(kind: Kind, values: Mapping[str, Any], models: list[ModelRecord]) -> list[Field]:
    """The fields of a kind's configuration.

    Args:
        values: what to begin with; the defaults where it says nothing.
        models: those on record, for the fields that name one.
    """
    return [_field(name, info, values, models) for name, info in kind.load_config().model_fields.items()]


def _field(name: str, info: FieldInfo, values: Mapping[str, Any], models: list[ModelRecord]) -> Field:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    source = str(extra.get("choices", ""))
    kinds = _kinds(info.annotation)
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    value = _text(values.get(name, default))
    options = _options(kinds, source, models)
    if options is not None and value and value not in options:  # It was, when the job was made.
        options = (value, *options)
    text = " ".join(filter(None, (info.description or "", _bounds(info))))
    return Field(name, info.title or name, text, value, options, str in kinds, type(None) in kinds, source)


def _kinds(annotation: Any) -> list[Any]:
    """What a field may be: the parts of a union, the field's type otherwise."""
    return list(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else [annotation]


def _options(kinds: list[Any], source: str, models: list[ModelRecord]) -> tuple[str, ...] | None:
    if source:
        wanted = {"weights": "safetensors", "graphs": "onnx"}.get(source)
        return tuple(model.name for model in models if wanted in (None, model.format))
    for kind in kinds:
        if get_origin(kind) is Literal:
            return tuple(map(_text, get_args(kind)))
        if kind is bool:
            return ("true", "false")
    return None


def _bounds(info: FieldInfo) -> str:
    """A field's bounds in words."""
    said = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    found = [f"{word} {getattr(part, name)}" for part in info.metadata for name, word in said.items() if hasattr(part, name)]
    text = ", ".join(found)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _text(value: Any) -> str:
    """A value as it stands in a form."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def values_of(fields: list[Field], texts: Mapping[str, str]) -> dict[str, Any]:
    """The configuration's values of what was typed; what is empty and cannot be is left out, and so takes its default."""
    return dict(_values(fields, texts))


def _values(fields: list[Field], texts: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for field in fields:
        text = texts[field.name]
        if field.textual and (text or not field.optional):
            yield field.name, text
        elif not text.strip():
            if field.optional:
                yield field.name, None
        else:
            try:
                yield field.name, json.loads(text)
            except ValueError:  # The check says what is wrong with it.
                yield field.name, text


def check(kind: Kind, values: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with a configuration, a sentence for each field."""
    from pydantic import ValidationError

    try:
        kind.load_config().model_validate(dict(values))
    except ValidationError as error:
        found: dict[str, str] = {}
        for place, sentence in complaints(error).items():
            text = sentence.removeprefix(f"{place}: ")
            found.setdefault(place.partition(".")[0], f"{text[:1].upper()}{text[1:]}.")
        return found
    return {}
