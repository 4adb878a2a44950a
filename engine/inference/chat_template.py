"""Chat templates: Jinja from a model's folder, rendered in a sandbox because the model's author is a stranger."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidInputError

if TYPE_CHECKING:
    import jinja2

    from engine.inference.types import Message


class ChatTemplate:
    """Turns a conversation into the text that a model was trained on.

    Args:
        source: the template, or "" for a model that has none; such a model gets plain "User: …" and "Assistant: …" turns.
        special_tokens: by name ("bos_token", "eos_token"), as templates refer to them.

    Raises:
        InvalidInputError: the template does not parse.
    """

    def __init__(self, source: str, special_tokens: dict[str, str] | None = None) -> None:
        self._special_tokens = special_tokens or {}
        self._template = _compile(source) if source else None

    @property
    def plain(self) -> bool:
        """Whether the model has no template of its own."""
        return self._template is None

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings that end a reply besides the end-of-turn token."""
        return ("\nUser:",) if self.plain else ()

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt, up to where the assistant's reply begins.

        Raises:
            InvalidInputError: the template refuses these messages, or computes for more than two seconds.
        """
        if self._template is None:
            return _render_plain(messages)
        from engine.inference.template_sandbox import TooMuchWorkError, rendered

        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            # Without tools and documents there would be "undefined", which to a template is not none.
            return rendered(
                self._template, messages=turns, tools=None, documents=None, add_generation_prompt=True, **self._special_tokens
            )
        except TooMuchWorkError as error:
            raise InvalidInputError(f"The model's chat template failed: {error}.", "It is faulty; use another model.") from error
        except Exception as error:  # a template can raise whatever Python's operators and methods of strings do
            if turns and turns[0]["role"] == "system" and len(turns) > 1:
                return self.render(_fold_system(messages))
            raise InvalidInputError(
                f"The model's chat template failed: {error}.", "Its chat_template.jinja is faulty; use another model."
            ) from error


def _fold_system(messages: Sequence[Message]) -> list[Message]:
    """Gemma's and Mistral's templates refuse a system turn; its text then opens the first user turn."""
    from engine.inference.types import Message

    system, first, *rest = messages
    return [Message(first.role, f"{system.content}\n\n{first.content}"), *rest]


def _render_plain(messages: Sequence[Message]) -> str:
    names = {"system": "", "user": "User: ", "assistant": "Assistant: "}
    return "".join(f"{names[message.role]}{message.content}\n" for message in messages) + "Assistant:"


def _compile(source: str) -> jinja2.Template:
    from engine.inference.template_sandbox import sandbox

    environment = sandbox(_generation_tag())
    # The three names that transformers gives every template.
    environment.add_filter("tojson", partial(_tojson, environment.spend))
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda pattern: datetime.now(UTC).astimezone().strftime(pattern)
    try:
        return environment.from_string(source)
    except Exception as error:  # nesting that is too deep for Jinja or Python raises errors of neither's template family
        raise InvalidInputError(
            f"The model's chat template does not parse: {error}.", "Its chat_template.jinja is faulty; use another model."
        ) from error


def _generation_tag() -> type[jinja2.ext.Extension]:
    from jinja2.ext import Extension
    from jinja2.nodes import Node
    from jinja2.parser import Parser

    class Generation(Extension):
        """`{% generation %}` marks the assistant's tokens for training; here it only shows its body."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> list[Node]:
            next(parser.stream)
            return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))

    return Generation


def _tojson(
    spend: Callable[[str], None],
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes for HTML, which no model was trained on.
    if indent is None:
        return json.dumps(value, ensure_ascii=ensure_ascii, separators=separators, sort_keys=sort_keys)
    encoder = json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    pieces = []
    for piece in encoder.iterencode(value):
        spend(piece)  # deep in a nested value, each line begins with a wide indent
        pieces.append(piece)
    return "".join(pieces)


def _raise(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def load_chat_template(folder: Path) -> ChatTemplate:
    """The template of a model folder: `chat_template.jinja`, else the one in `tokenizer_config.json`.

    Args:
        folder: holds `tokenizer_config.json` and perhaps `chat_template.jinja`.

    Raises:
        InvalidInputError: one of them cannot be read, or the template does not parse.
    """
    config_file = folder / "tokenizer_config.json"
    template_file = folder / "chat_template.jinja"
    path = config_file
    try:
        config: dict[str, Any] = dict(json.loads(config_file.read_text(encoding="utf-8"))) if config_file.exists() else {}
        source = _from_config(config)
        path = template_file
        source = template_file.read_text(encoding="utf-8") if template_file.exists() else source
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInputError(f"{path} cannot be used: {error}.", "Build or fetch the model again.") from error
    tokens = {name: _token_text(config.get(name)) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    return ChatTemplate(source, {name: text for name, text in tokens.items() if text is not None})


def _from_config(config: dict[str, Any]) -> str:
    found = config.get("chat_template") or ""
    if isinstance(found, list):  # several named ones; "default" is the one for chat
        named = {entry.get("name"): entry.get("template", "") for entry in found}
        found = named.get("default", "")
    return str(found)


def _token_text(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None
