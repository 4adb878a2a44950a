"""The form of a new job, made of its configuration's own fields."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from engine.errors import EngineError
from engine.jobs.kinds import KINDS, Kind
from engine.store.jobs import JobRecord, Policy
from mtntui.keymap import command
from mtntui.screens.dialog import Dialog
from mtntui.screens.jobs.fields import Field, check, fields_of, values_of
from mtntui.terminal_text import one_line, visible
from mtntui.widgets.choice import Choice

if TYPE_CHECKING:
    from mtntui.services import Services


_NONE = "There is none on record yet: fetch a model first."


@dataclass(frozen=True, slots=True)
class Template:
    """What a form begins with: a kind, some values of its fields, and what becomes of the job when it is cut off."""

    kind: str = next(iter(KINDS))
    values: Mapping[str, Any] | None = None
    policy: Policy = "ask"


class JobForm(Dialog[JobRecord]):
    """Asks for a job's configuration and submits it; its result is the job.

    Args:
        services: the engine's parts.
        template: what to begin with.
    """

    DEFAULT_CSS = """
    JobForm {
        & #box { width: 84; height: auto; }
        & #form { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
        & #fields { height: auto; }
        & Input { border: none; height: 1; background: $boost; padding: 0 1; &:focus { background: $primary-muted; } }
        & .label { height: 1; text-style: bold; }
        & .about { height: auto; color: $text-muted; margin-bottom: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("form.start", "f10,ctrl+g,ctrl+enter", "start", "Start", "Start the job.", show=True, priority=True),
        command("form.next", "down", "app.focus_next", "Next field", "Go to the next field."),
        command("form.previous", "up", "app.focus_previous", "Field before", "Go to the field before."),
    ]

    def __init__(self, services: Services, template: Template) -> None:
        super().__init__()
        self._services = services
        self._template = template
        self._kind: Kind = KINDS[template.kind]
        self._fields: list[Field] = []
        self._parents: list[JobRecord] = []
        self._touched: set[str] = set()
        self._starting = False

    def compose(self) -> ComposeResult:
        """The kind, its fields, what comes before it, and the keys."""
        with Vertical(id="box"):
            yield Static("New job", id="title", markup=False)
            with VerticalScroll(id="form", can_focus=False):
                yield Static("Kind", classes="label", markup=False)
                yield Choice([(kind.label, kind.name) for kind in KINDS.values()], self._kind.name, id="kind")
                yield Static("", classes="about", markup=False)
                yield Vertical(id="fields")
            yield Static("", id="hint", markup=False)

    async def on_mount(self) -> None:
        """Fill in the fields of the kind."""
        self._hint()
        await self._build(self._template.values or {})

    def _hint(self, trouble: str = "") -> None:
        hint = self.query_one("#hint", Static)
        keys = "F10 or Ctrl+G starts it. Up and Down go through the fields. Esc starts nothing."
        hint.update(Content.styled(visible(trouble), "$text-error") if trouble else keys)

    async def _build(self, values: Mapping[str, Any]) -> None:
        """Put in the fields; pydantic and the kind's module are loaded beside the screen."""
        try:
            self._fields, self._parents = await asyncio.to_thread(self._read, values)
        except EngineError as error:
            self._hint(str(error))
            return
        self._touched.clear()
        holder = self.query_one("#fields", Vertical)
        await holder.remove_children()
        await holder.mount(*self._widgets())
        first = self.query("#fields Input, #fields Choice").first()
        if self._template.values is not None or len(KINDS) == 1:
            first.focus()

    def _read(self, values: Mapping[str, Any]) -> tuple[list[Field], list[JobRecord]]:
        fields = fields_of(self._kind, values, self._services.models.all())
        parents = [job for job in self._services.jobs.unfinished() if job.kind in KINDS and KINDS[job.kind].artefact]
        return fields, parents if self._argument_of(fields) else []

    @staticmethod
    def _argument_of(fields: list[Field]) -> str:
        """The field that can take what another job makes."""
        return next((field.name for field in fields if field.source), "")

    def _widgets(self) -> Iterator[Widget]:
        if self._parents:
            options = [("nothing, now", ""), *((job.title, job.id) for job in self._parents)]
            yield Static("Starts after", classes="label", markup=False)
            yield Choice(options, id="parent")
            yield Static("What that job makes is then taken, whatever is chosen below.", classes="about", markup=False)
        for field in self._fields:
            yield Static(one_line(field.title), classes="label", markup=False)
            if field.options is None:
                entry = Input(one_line(field.value), id=f"field-{field.name}", compact=True)
                entry.cursor_blink = False
                yield entry
            else:
                options = [(option, option) for option in field.options]
                yield Choice(options, field.value, _NONE, id=f"field-{field.name}")
            yield Static(visible(field.help), id=f"about-{field.name}", classes="about", markup=False)
        yield Static("When it is cut off", classes="label", markup=False)
        yield Choice(
            [("it waits for you to resume it", "ask"), ("it goes on by itself", "resume")], self._template.policy, id="policy"
        )

    # Values

    def _value(self, identifier: str) -> str:
        entry = self.query(f"#{identifier}").first()
        if isinstance(entry, Choice | Input):
            return entry.value
        raise TypeError(f"{identifier} is no field")

    @property
    def _before(self) -> str:
        """The job that this one waits for; empty: it waits for none."""
        return self._value("parent") if self._parents else ""

    def _values(self) -> dict[str, Any]:
        values = values_of(self._fields, {field.name: self._value(f"field-{field.name}") for field in self._fields})
        if self._before:  # The field is filled when that job has made what it takes.
            values[self._argument_of(self._fields)] = "-"
        return values

    def _check(self, names: set[str]) -> bool:
        """Say beside these fields what is wrong with them; True when nothing is wrong with any."""
        wrong = check(self._kind, self._values())
        for field in self._fields:
            if field.name in names:
                about = self.query_one(f"#about-{field.name}", Static)
                trouble = _NONE if field.options == () and field.name in wrong else wrong.get(field.name)
                about.update(Content.styled(f"✗ {visible(trouble)}", "$text-error") if trouble else visible(field.help))
        return not wrong

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        name = (event.input.id or "").removeprefix("field-")
        if self._fields and event.input.has_focus:
            self._touched.add(name)
            self._check(self._touched)

    @on(Choice.Changed)
    async def _chosen(self, event: Choice.Changed) -> None:
        if event.choice.id == "kind":
            self._kind = KINDS[event.choice.value]
            await self._build({})
        elif self._fields:
            self._check(self._touched)

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.focus_next()

    async def action_start(self) -> None:
        """Start the job, if nothing is wrong with it."""
        if self._starting or not self._fields:
            return
        if not self._check({field.name for field in self._fields}):
            self._hint("Some fields cannot be used as they are; each says why.")
            return
        self._starting = True
        try:
            self.dismiss(await asyncio.to_thread(self._submit, self._values(), self._before))
        except EngineError as error:
            self._hint(str(error))
        finally:
            self._starting = False

    def _submit(self, values: dict[str, Any], parent: str) -> JobRecord:
        argument = self._argument_of(self._fields) if parent else ""
        if argument:
            values = {name: value for name, value in values.items() if name != argument}
        policy: Policy = "resume" if self._value("policy") == "resume" else "ask"
        queue = self._services.queue
        return queue.submit(self._kind.name, values, parent=parent or None, argument=argument, policy=policy)
