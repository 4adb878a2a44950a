"""The form of a new job, made of its configuration's own fields."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from engine.errors import EngineError, InvalidInputError
from engine.jobs.kinds import KINDS, Kind
from engine.store.jobs import JobRecord, Policy
from mtntui.keymap import command
from mtntui.screens.dialog import Dialog
from mtntui.screens.jobs.fields import Field, check, fields_of, values_of
from mtntui.terminal_text import one_line, visible
from mtntui.widgets.choice import Choice

if TYPE_CHECKING:
    from mtntui.services import Services


Value = TypeVar("Value")

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
        & #form {
            height: auto;
            max-height: 60vh;
            scrollbar-size-vertical: 1;
            scrollbar-background: $surface;
            scrollbar-color: $panel;
        }
        & #fields { height: auto; }
        & Input { border: none; height: 1; background: $boost; padding: 0 1; &:focus { background: $primary-muted; } }
        & .label { height: 1; text-style: bold; }
        & .about { height: auto; color: $text-muted; margin-bottom: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        command("form.start", "f10,ctrl+g,ctrl+enter", "start", "Start", "Start the job.", show=True, priority=True),
        command(
            "form.save", "f2", "save", "Save", "Write the form as a TOML file, which `mtntui jobs run` takes too.", show=True
        ),
        command("form.load", "f3", "load", "Load", "Fill in the form from a TOML file.", show=True),
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
        keys = "F10 or Ctrl+G starts it. F2 saves this form, F3 loads one. Esc starts nothing."
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
                trouble = wrong.get(field.name)
                if trouble and not self._value(f"field-{field.name}"):
                    trouble = _NONE if field.options == () else "It cannot be empty."
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

    # Files

    @work
    async def action_save(self) -> None:
        """Write what the form says into a new file."""
        path = await self._ask("Save as", f"{self._kind.name}.toml")
        if path is not None and self._fields:
            await self._try(self._write, path, self._values(), done=f"Saved as {path}.")

    @work
    async def action_load(self) -> None:
        """Fill in the form from a file."""
        path = await self._ask("Load", f"{self._kind.name}.toml")
        if path is not None:
            found = await self._try(self._read_file, path, done=f"Loaded {path}.")
            if found is not None:
                await self._build(found)
                self._check({field.name for field in self._fields})

    async def _ask(self, title: str, name: str) -> Path | None:
        from mtntui.screens.jobs.ask_path import AskPath

        typed = await self.app.push_screen_wait(AskPath(title, name))
        return self._path(typed) if typed else None

    def _path(self, typed: str) -> Path | None:
        try:
            return Path(typed).expanduser()
        except RuntimeError:
            self._hint(f"There is no user whose folder {one_line(typed, 60)} could be in.")
            return None

    async def _try(self, what: Callable[..., Value], *arguments: object, done: str) -> Value | None:
        """Do something with a file beside the screen, and say how it went."""
        try:
            result = await asyncio.to_thread(what, *arguments)
        except EngineError as error:
            self._hint(str(error))
            return None
        except FileExistsError:
            self._hint(f"{arguments[0]} is there already. Choose another name.")
            return None
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else error
            self._hint(f"{arguments[0]} could not be written: {said}.")
            return None
        self._hint()
        self.notify(visible(done), timeout=4, markup=False)
        return result

    def _write(self, path: Path, values: Mapping[str, Any]) -> None:
        from mtntui.cli.job_fields import as_toml

        with path.open("x", encoding="utf-8") as file:  # What is there already may be wanted.
            file.write(as_toml(self._kind, values))

    def _read_file(self, path: Path) -> dict[str, Any]:
        from mtntui.cli.job_fields import read_config

        found = read_config(path)
        unknown = set(found) - set(self._kind.load_config().model_fields)
        if unknown:
            names = ", ".join(sorted(unknown))
            raise InvalidInputError(f"{path} has fields that this kind of job lacks: {names}.", "Choose the kind first.")
        return found

    # Starting

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
