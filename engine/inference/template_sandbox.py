"""The Jinja environment that chat templates run in: it keeps a stranger's template from reaching out, and from going on for ever.

Jinja's own sandbox sees to the first. For the second, each loop, call and filter of a template is made to look at the clock, and
each text and list that it makes is weighed: a model's thread, and with it every reply of that model, would wait for a template
that loops without end, and the memory would be gone after one that doubles a text forty times. What is one step of Python's, and
so cannot be broken off, is looked at before: how long could its outcome be?
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from itertools import chain
from time import thread_time
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

# The longest conversations render in hundredths of a second. Counted is the thread's own time: a busy machine does no harm.
_SECONDS = 2.0
# Of all texts made on the way. A template that puts a prompt of a million characters together turn by turn makes a few hundred
# times as many.
_CHARACTERS = 1_000_000_000
_HEAVIEST = 50_000_000  # characters that a list may take when it is written out; one step may do that, or compare two
_ENTRY = 8  # what a list's entry counts as: it takes that many bytes
_LARGEST_NUMBER = 1_000_000  # as an argument: a width, a count, a length
_LONGEST_NUMBER = 4096  # bits
_NUMBER = re.compile(r"\d+")
_TICK = "look at the clock"  # these two are no names that a template could write
_WEIGH = "weigh"
# Those whose outcome can be as long as one argument times another.
_MULTIPLYING_FILTERS = frozenset({"batch", "format", "indent", "join", "replace", "tojson", "urlize", "wordwrap"})
_MULTIPLYING_METHODS = frozenset({"expandtabs", "join", "replace", "translate"})


class TooMuchWorkError(SecurityError):
    """A template computes more than one for chat has to."""


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment whose templates end. Not for several threads at once."""

    intercepted_binops = frozenset({"**", "*", "+", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=self._written, **options)
        self.begin()
        del self.globals["lipsum"]  # computes as long as it is told to
        del self.filters["pprint"]  # takes minutes for what str() does in a second
        for name, function in list(self.filters.items()):
            self.add_filter(name, function)
        self.filters[_TICK] = self._tick
        self.filters[_WEIGH] = self._weighed

    def begin(self) -> None:
        """Grant time and characters anew, for one rendering."""
        self._until = thread_time() + _SECONDS
        self._characters = _CHARACTERS
        self._weights: dict[int, tuple[Any, int]] = {}  # by id, with what has that id, which must not pass to another meanwhile

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Let templates use a filter, under watch."""
        self.filters[name] = self._watched(name, function)

    def spend(self, value: Any = None) -> None:
        """Count a value that was made.

        Raises:
            TooMuchWorkError: time or characters are used up.
            SecurityError: it is more than any template needs.
        """
        if isinstance(value, str | bytes):
            self._characters -= len(value)
        elif isinstance(value, list | tuple):
            self._characters -= len(value) * _ENTRY
        if self._characters < 0 or thread_time() > self._until:
            raise TooMuchWorkError(f"it computes for more than {_SECONDS:.0f} seconds or makes too much text")
        if not isinstance(value, str | Namespace):
            self.weigh(value)

    def weigh(self, value: Any) -> int:
        """How many characters a value takes when it is written out, about.

        A list that holds another one twice, which does the same in turn, is small in memory and endless on paper.

        Raises:
            SecurityError: it is more than any template needs.
        """
        if isinstance(value, str | bytes):
            return len(value)
        if isinstance(value, int):
            if value.bit_length() > _LONGEST_NUMBER:
                raise SecurityError("a number beyond what a template needs")
        elif isinstance(value, Namespace):  # can hold itself, and grows after it was weighed
            raise SecurityError("a namespace is no value")
        elif isinstance(value, list | tuple | set | frozenset | dict | KeysView | ValuesView | ItemsView):
            return self._weigh_all(value)
        return _ENTRY

    def _weigh_all(self, value: Any) -> int:
        weight = _ENTRY
        for part in chain(value, value.values()) if isinstance(value, dict) else value:
            known = self._weights.get(id(part))
            if known is None:
                known = (part, self.weigh(part))
                if not isinstance(part, str | int):
                    self._weights[id(part)] = known
            weight += known[1] + _ENTRY
            if weight > _HEAVIEST:
                raise SecurityError("a list beyond what a template needs")
        return weight

    def from_string(self, source: str | nodes.Template, *arguments: Any, **options: Any) -> jinja2.Template:
        """Compile a template, with guards where it could go on for ever."""
        tree = self.parse(source) if isinstance(source, str) else source
        _Guards().visit(tree)
        tree.set_environment(self)
        return super().from_string(tree, *arguments, **options)

    @jinja2.pass_context  # or the compiler would compute it once for all
    def _tick(self, _: jinja2.runtime.Context, characters: int) -> bool:
        self._characters -= characters
        self.spend()
        return True

    @jinja2.pass_context
    def _written(self, _: jinja2.runtime.Context, value: Any) -> Any:
        """Look at a value on its way into the output."""
        self.weigh(value)  # before it is made a text
        self.spend(value)
        return value

    @jinja2.pass_context
    def _weighed(self, _: jinja2.runtime.Context, value: Any) -> Any:
        self.weigh(value)
        return value

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that counts what it makes; one that makes values as they are asked for is asked under watch."""
        passed = 1 if hasattr(function, "jinja_pass_arg") else 0  # the context or environment, which Jinja puts first

        @functools.wraps(function)
        def filter_(*arguments: Any, **options: Any) -> Any:
            values = (*arguments[passed:], *options.values())
            _check_numbers(values)
            if name in _MULTIPLYING_FILTERS:
                self._check_product(values)
            if name == "format" and values:
                self._check_pattern(str(values[0]), values[1:])
            if name == "sum" and any(isinstance(value, list | tuple) for value in values[1:]):
                raise SecurityError("a sum of lists, which are copied for each that is added")
            if any(isinstance(value, Namespace) for value in values):
                raise SecurityError("a namespace is no value")
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
        if not isinstance(called, Macro):  # made of steps that are watched themselves
            self._check_call(called, values)
        self.spend()
        made = super().call(context, called, *arguments, **options)
        self.spend(made)
        return made

    def _check_call(self, called: Any, values: tuple[Any, ...]) -> None:
        _check_numbers(values)
        for value in values:
            self.weigh(value)
        owner = getattr(getattr(called, "__wrapped__", called), "__self__", None)  # Jinja wraps str.format
        name = getattr(called, "__name__", "")
        if isinstance(owner, str) and name in _MULTIPLYING_METHODS:
            self._check_product((owner, *values))
        if isinstance(owner, str) and name.startswith("format"):
            self._check_pattern(owner, values)

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Compute for a template."""
        if operator == "**" and not (abs(left) <= 1_000_000 and abs(right) <= 64):
            raise SecurityError("a power beyond what a template needs")
        sizes = [len(side) if isinstance(side, str | bytes | list | tuple) else None for side in (left, right)]
        counts = [side for side in (left, right) if isinstance(side, int)]
        if operator == "*" and any(size and count * size > 1_000_000 for size in sizes for count in counts):
            raise SecurityError("a text beyond what a template needs")
        if len(counts) == 2 and sum(count.bit_length() for count in counts) > _LONGEST_NUMBER:
            raise SecurityError("a number beyond what a template needs")
        if operator == "%" and isinstance(left, str):
            values = right if isinstance(right, tuple) else (right,)
            _check_numbers(values)
            self._check_pattern(left, values)
        made = super().call_binop(context, operator, left, right)
        self.spend(made)
        return made

    def _size(self, value: Any) -> int:
        return abs(value) if isinstance(value, int) else self.weigh(value)

    def _check_product(self, values: tuple[Any, ...]) -> None:
        """Refuse what would make one step of C code too long: each of one text replaced by another, say."""
        sizes = sorted(self._size(value) for value in values)
        if len(sizes) > 1 and sizes[-1] * sizes[-2] > _CHARACTERS:
            raise SecurityError("a text beyond what a template needs")

    def _check_pattern(self, pattern: str, values: tuple[Any, ...]) -> None:
        """Refuse a pattern whose places, each as wide as the widest value or number in it, make too long a text."""
        digits = _NUMBER.findall(pattern)
        widest = max([*map(int, (run[:7] for run in digits)), *(self._size(value) for value in values)], default=0)
        places = max(pattern.count("%"), pattern.count("{"))
        if any(len(run) > 6 for run in digits) or places * widest > _CHARACTERS:
            raise SecurityError("a width beyond what a template needs")


class _Guards(NodeTransformer):
    """Puts a look at the clock into each loop, and weighs what is made without a call or a filter."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """Count a loop's own text too: in a macro it is put together only at the end."""
        self.generic_visit(node)
        tick = _filtered(nodes.Const(sum(len(text.data) for text in node.find_all(nodes.TemplateData))), _TICK)
        node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.And(_filtered(nodes.Const(0), _TICK), node.test, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """`a ~ b`."""
        self.generic_visit(node)
        node.nodes = [_filtered(part, _WEIGH) for part in node.nodes]
        return _filtered(node, "string")

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:
        """`set space.name = value`: no namespace may come to hold one."""
        self.generic_visit(node)
        if isinstance(node.target, nodes.NSRef) or node.target.find(nodes.NSRef):
            node.node = _filtered(node.node, _WEIGH)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:
        """`[a, b]`."""
        return _filtered(self.generic_visit(node), _WEIGH)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        """`{"a": b}`."""
        return _filtered(self.generic_visit(node), _WEIGH)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        """`(a, b)`, unless it is what values are assigned to."""
        self.generic_visit(node)
        return _filtered(node, _WEIGH) if node.ctx == "load" else node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno or 1)


def _check_numbers(values: tuple[Any, ...]) -> None:
    """Refuse what would make one step of C code, which nothing can interrupt, too long: `"x" | center(10 ** 10)`."""
    if any(isinstance(value, int) and abs(value) > _LARGEST_NUMBER for value in values):
        raise SecurityError("a number beyond what a template needs")


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
    try:
        for piece in template.generate(**variables):
            environment.spend(piece)
            pieces.append(piece)
    finally:
        environment.begin()  # lets go of what was weighed
    return "".join(pieces)
