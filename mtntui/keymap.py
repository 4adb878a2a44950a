"""All keys of the program in one list, made from the bindings: for the help screen, the palette and the user's own keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen


def command(
    identifier: str, keys: str, action: str, title: str, help_text: str, *, show: bool = False, priority: bool = False
) -> Binding:
    """A binding with all that the help, the palette and the user's own keys need.

    Args:
        identifier: its stable name in the settings file.
        keys: Textual's names, separated by commas.
        action: what Textual runs.
        title: a few words.
        help_text: a sentence.
        show: whether it is worth a place among the key hints.
        priority: whether it comes before what the focused widget does with the key.
    """
    return Binding(keys, action, title, show=show, priority=priority, tooltip=help_text, id=identifier)


@dataclass(frozen=True, slots=True)
class Command:
    """One thing the user can do.

    Attributes:
        id: its stable name, which `[keys]` in the settings file uses.
        group: the heading it stands under.
        title: a few words.
        help: a sentence.
        action: what Textual runs.
        keys: Textual's names of its keys, as the user set them.
        namespace: the class whose action it is.
    """

    id: str
    group: str
    title: str
    help: str
    action: str
    keys: tuple[str, ...]
    namespace: type[DOMNode]


def commands(sources: Iterable[tuple[str, type[DOMNode]]], keymap: Mapping[str, str]) -> Iterator[Command]:
    """The commands of some classes, in the order of their bindings.

    Args:
        sources: headings with the classes that have the bindings.
        keymap: the user's own keys by a binding's id.
    """
    for group, source in sources:
        for binding in source.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                keys = tuple(key.strip() for key in keymap.get(binding.id, binding.key).split(","))
                yield Command(binding.id, group, binding.description, binding.tooltip, binding.action, keys, source)


def complaints(keymap: Mapping[str, str], known: Iterable[Command], source: str = "The settings file") -> list[str]:
    """What is wrong with the user's own keys, a remark for each: unknown ids, unknown keys, keys that another command has.

    Args:
        keymap: the user's own keys by a binding's id.
        known: all commands, with the user's keys.
        source: where the keys stand, to begin a sentence with.
    """
    by_id = {entry.id: entry for entry in known}
    found: list[str] = []
    for identifier, text in keymap.items():
        if identifier not in by_id:
            near = difflib.get_close_matches(identifier, by_id, n=1)
            advice = f"Did you mean {near[0]}?" if near else "F1 lists them all."
            found.append(f"{source} gives a key to {identifier}, which does not exist. {advice}")
            continue
        for key in text.split(","):
            if not _exists(key):
                found.append(f"{source} gives {identifier} the key {key!r}, which does not exist. {_advice(key)}")
                continue
            others = [other.id for other in by_id.values() if _collides(by_id[identifier], other, key)]
            if others:
                found.append(f"{source} gives {identifier} the key {key}, which {', '.join(others)} has as well.")
    return found


_MODIFIERS = frozenset({"ctrl", "alt", "shift", "super", "meta", "hyper"})


def _exists(key: str) -> bool:
    """Whether Textual ever reports a key of this name."""
    from textual.keys import REPLACED_KEYS, Keys, key_to_character

    *modifiers, last = key.split("+")
    if not _MODIFIERS.issuperset(modifiers):
        return False
    if len(last) == 1:
        return last.isalnum()  # all other characters have names, such as question_mark
    if last in {name for entry in Keys if (name := entry.value.rpartition("+")[2]).isidentifier()} or last in REPLACED_KEYS:
        return True
    # By the name of its character; that there is a banana in Unicode makes it no key.
    character = key_to_character(last)
    return last.islower() and character is not None and character.isascii()


def _advice(key: str) -> str:
    """What the user may have meant."""
    from textual.keys import _character_to_key

    *modifiers, last = (part.strip() for part in key.split("+"))
    meant = "+".join([*map(str.lower, modifiers), _character_to_key(last) if len(last) == 1 else last.lower()])
    return f"Did you mean {meant}?" if _exists(meant) else "Keys are written as in ctrl+n, f5 or escape."


def _collides(changed: Command, other: Command, key: str) -> bool:
    """Whether a key that the user gave to one command takes it from, or loses it to, another."""
    if changed.id == other.id or key not in other.keys or not _meet(changed.namespace, other.namespace):
        return False
    # Where both have the key by themselves, it is meant so: the focused widget comes first.
    return not (key in _own_keys(changed) and key in _own_keys(other))


def _own_keys(command: Command) -> list[str]:
    """A command's keys as they are without the user's settings."""
    bindings = command.namespace.__dict__.get("BINDINGS", ())
    return [
        key.strip()
        for binding in bindings
        if isinstance(binding, Binding) and binding.id == command.id
        for key in binding.key.split(",")
    ]


def _meet(one: type[DOMNode], other: type[DOMNode]) -> bool:
    """Whether one key press can reach both: a class and itself, the program and all, the chat's screen and its widgets."""
    if issubclass(one, other) or issubclass(other, one) or issubclass(one, App) or issubclass(other, App):
        return True
    kinds = {(issubclass(kind, ModalScreen), issubclass(kind, Screen)) for kind in (one, other)}
    return kinds == {(False, True), (False, False)}


_NAMES = {
    "enter": "Enter",
    "escape": "Esc",
    "up": "Up",
    "down": "Down",
    "left": "Left",
    "right": "Right",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "tab": "Tab",
    "space": "Space",
    "delete": "Del",
    "backspace": "Backspace",
    "question_mark": "?",
    "slash": "/",
}


def key_name(key: str) -> str:
    """A key as people write it: `ctrl+j` is Ctrl+J."""
    *modifiers, last = key.split("+")
    if last in _NAMES:
        shown = _NAMES[last]
    elif len(last) == 1:
        shown = last.upper() if modifiers else last
    else:
        shown = last.upper() if last[0] == "f" and last[1:].isdigit() else last
    return "+".join([*(modifier.capitalize() for modifier in modifiers), shown])
