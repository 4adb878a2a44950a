"""The Jinja environment that chat templates run in: it keeps a stranger's template from reaching out, and from going on for ever.

Jinja's own sandbox sees to the first. For the second, each loop, call and filter of a template is made to look at the clock, and
each text that it makes is counted: a model's thread, and with it every reply of that model, would wait for a template that loops
without end, and the memory would be gone after one that doubles a text forty times.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from time import thread_time
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

# The longest conversations render in hundredths of a second. Counted is the thread's own time: a busy machine does no harm.
_SECONDS = 2.0
# Of all texts made on the way. A template that puts a prompt of a million characters together turn by turn makes a few hundred
# times as many.
_CHARACTERS = 1_000_000_000
_ENTRY = 8  # what a list's entry counts as: it takes that many bytes
_LARGEST_NUMBER = 1_000_000  # as an argument: a width, a count, a length
_WIDTH = re.compile(r"\d{7}")
_TICK = "look at the clock"  # no name that a template could write


class TooMuchWorkError(SecurityError):
    """A template computes more than one for chat has to."""


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment whose templates end. Not for several threads at once."""

    intercepted_binops = frozenset({"**", "*", "+", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.begin()
        del self.globals["lipsum"]  # computes as long as it is told to
        self.filters = {name: self._watched(function) for name, function in self.filters.items()}
        self.filters[_TICK] = self._tick

    def begin(self) -> None:
        """Grant time and characters anew, for one rendering."""
        self._until = thread_time() + _SECONDS
        self._characters = _CHARACTERS

    def spend(self, value: Any = None) -> None:
        """Count a value that was made.

        Raises:
            TooMuchWorkError: time or characters are used up.
        """
        if isinstance(value, str | bytes):
            self._characters -= len(value)
        elif isinstance(value, list | tuple):
            self._characters -= len(value) * _ENTRY
        if self._characters < 0 or thread_time() > self._until:
            raise TooMuchWorkError(f"it computes for more than {_SECONDS:.0f} seconds or makes too much text")

    def from_string(self, source: str | nodes.Template, *arguments: Any, **options: Any) -> jinja2.Template:
        """Compile a template, with a look at the clock in each loop."""
        tree = self.parse(source) if isinstance(source, str) else source
        for loop in tree.find_all(nodes.For):
            loop.body.insert(0, nodes.ExprStmt(self._tick_node(loop.lineno), lineno=loop.lineno))
            if loop.test is not None:
                loop.test = nodes.And(self._tick_node(loop.lineno), loop.test, lineno=loop.lineno)
        for text in list(tree.find_all(nodes.Concat)):
            text.nodes = [nodes.Filter(nodes.Concat(text.nodes), "string", [], [], None, None, lineno=text.lineno)]
        tree.set_environment(self)
        return super().from_string(tree, *arguments, **options)

    @staticmethod
    def _tick_node(line: int) -> nodes.Filter:
        return nodes.Filter(nodes.Const(True), _TICK, [], [], None, None, lineno=line)

    @jinja2.pass_context  # or the compiler would compute it once for all
    def _tick(self, _: jinja2.runtime.Context, value: bool) -> bool:
        self.spend()
        return value

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that counts what it makes; one that makes values as they are asked for is asked under watch."""

        @functools.wraps(function)
        def filter_(*arguments: Any, **options: Any) -> Any:
            _check_arguments((*arguments, *options.values()))
            made = function(*arguments, **options)
            self.spend(made)
            return self._each(made) if isinstance(made, Iterator) else made

        return filter_

    def _each(self, values: Iterator[Any]) -> Iterator[Any]:
        for value in values:
            self.spend(value)
            yield value

    def call(self, context: jinja2.runtime.Context, called: Any, *arguments: Any, **options: Any) -> Any:
        """Call something for a template."""
        values = (*arguments, *options.values())
        owner = getattr(getattr(called, "__wrapped__", called), "__self__", None)  # Jinja wraps str.format
        _check_arguments((owner, *values) if isinstance(owner, str) else values)
        if isinstance(owner, str) and getattr(called, "__name__", "").startswith("format"):
            _check_widths(owner)
        self.spend()
        made = super().call(context, called, *arguments, **options)
        self.spend(made)
        return made

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Compute for a template."""
        if operator == "**" and not (abs(left) <= 1_000_000 and abs(right) <= 64):
            raise SecurityError("a power beyond what a template needs")
        sizes = [len(side) if isinstance(side, str | bytes | list | tuple) else None for side in (left, right)]
        counts = [side for side in (left, right) if isinstance(side, int)]
        if operator == "*" and any(size and count * size > 1_000_000 for size in sizes for count in counts):
            raise SecurityError("a text beyond what a template needs")
        if len(counts) == 2 and sum(count.bit_length() for count in counts) > 4096:
            raise SecurityError("a number beyond what a template needs")
        if operator == "%" and isinstance(left, str):
            _check_widths(left)
            _check_arguments(right if isinstance(right, tuple) else (right,))
        made = super().call_binop(context, operator, left, right)
        self.spend(made)
        return made


def _check_arguments(values: tuple[Any, ...]) -> None:
    """Refuse what would make one step of C code, which nothing can interrupt, too long: `"x" | center(10 ** 10)`."""
    if any(isinstance(value, int) and abs(value) > _LARGEST_NUMBER for value in values):
        raise SecurityError("a number beyond what a template needs")
    lengths = sorted(len(value) for value in values if isinstance(value, str))
    if len(lengths) > 1 and lengths[-1] * lengths[-2] > _CHARACTERS:  # each of one replaced by the other, say
        raise SecurityError("a text beyond what a template needs")


def _check_widths(pattern: str) -> None:
    if _WIDTH.search(pattern):
        raise SecurityError("a width beyond what a template needs")


def sandbox(*extensions: type[jinja2.ext.Extension]) -> Sandbox:
    """An environment with the settings that transformers gives chat templates (utils/chat_template_utils.py)."""
    return Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[*extensions, loopcontrols])


def rendered(template: jinja2.Template, **variables: Any) -> str:
    """A template's text.

    Raises:
        TooMuchWorkError: it computes too long, or its text is too long.
    """
    environment = template.environment
    assert isinstance(environment, Sandbox)
    environment.begin()
    pieces = []
    for piece in template.generate(**variables):
        environment.spend(piece)
        pieces.append(piece)
    return "".join(pieces)
