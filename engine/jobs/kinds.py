"""The kinds of jobs: each is one function of a domain package and the model of its configuration."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidInputError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from engine.progress import JobReporter


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job.

    Attributes:
        name: as it is submitted and stored.
        label: for people ("Fetch a model").
        title: a job's title, made of its configuration's fields by `str.format`.
        resource: what it needs for itself; how many may run at once is a setting.
        config: `package.module:Class` of the configuration, a pydantic model.
        run: `package.module:function`, which takes a configuration and a reporter and returns a result that JSON holds.
        artefact: what kind of artefact its success leaves, which a job that follows can take.
    """

    name: str
    label: str
    title: str
    resource: str
    config: str
    run: str
    artefact: str = ""

    def load_config(self) -> type[BaseModel]:
        """The configuration's class; its fields' titles, descriptions and bounds make forms and options."""
        loaded: type[BaseModel] = _load(self.config)
        return loaded

    def load_run(self) -> Callable[[BaseModel, JobReporter], dict[str, Any] | None]:
        """The function that does the work."""
        loaded: Callable[[BaseModel, JobReporter], dict[str, Any] | None] = _load(self.run)
        return loaded

    def validate(self, values: Mapping[str, Any]) -> BaseModel:
        """A configuration of these values.

        Raises:
            InvalidInputError: some are unknown, missing or out of bounds; the message names field, value and what is allowed.
        """
        from pydantic import ValidationError

        try:
            return self.load_config().model_validate(dict(values))
        except ValidationError as error:
            raise InvalidInputError(
                f"The configuration of the {self.name} job cannot be used: {'; '.join(complaints(error).values())}.",
                f"`mtntui jobs kinds` shows the fields of {self.name}.",
            ) from error


def complaints(error: Any) -> dict[str, str]:
    """What is wrong with a configuration (a pydantic `ValidationError`), by field."""
    found: dict[str, str] = {}
    for part in error.errors(include_url=False):
        field = ".".join(map(str, part["loc"])) or "configuration"
        said = part["msg"][:1].lower() + part["msg"][1:]
        shown = "" if part["type"] in ("missing", "extra_forbidden") else f" (it is {part['input']!r:.80})"
        found.setdefault(field, f"{field}: {said}{shown}")
    return found


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "pull",
            "Fetch a model",
            "Fetch {model}",
            "network",
            "engine.models.jobs:PullConfig",
            "engine.models.jobs:run_pull",
            "model",
        ),
        Kind(
            "export",
            "Export a model to ONNX",
            "Export {model} as {precision}",
            "processor",
            "engine.models.jobs:ExportConfig",
            "engine.models.jobs:run_export",
            "model",
        ),
    )
}
"""By name. A job of a new domain is a line here."""


def kind_of(name: str) -> Kind:
    """The kind of this name.

    Raises:
        InvalidInputError: there is none.
    """
    if name in KINDS:
        return KINDS[name]
    raise InvalidInputError(f"There is no kind of job named {name!r}.", f"There are {', '.join(KINDS)}.")
