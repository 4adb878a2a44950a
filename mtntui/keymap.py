"""All keys of the program in one list, made from the bindings: for the help screen, the palette and the user's own keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from textual.binding import Binding
from textual.dom import DOMNode


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


def complaints(keymap: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """A sentence for each id in the user's keys that no binding has."""
    names = sorted(known)
    found: list[str] = []
    for identifier in keymap:
        if identifier not in names:
            near = difflib.get_close_matches(identifier, names, n=1)
            advice = f"Did you mean {near[0]}?" if near else "F1 lists them all."
            found.append(f"The settings give a key to {identifier}, which does not exist. {advice}")
    return found


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
