"""Fetching a model and building its graph, as jobs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.progress import JobReporter
from engine.store.database import Database


class PullConfig(BaseModel):
    """Fetch a model and make it ready to chat."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        title="Model",
        description="smollm2-135m, ORG/NAME on the Hugging Face Hub, or ORG/NAME:FILE for one file of it.",
        min_length=1,
        max_length=300,
    )
    name: str = Field("", title="Name", description="What to call it here; empty: as its source does.", max_length=100)
    revision: str = Field("main", title="Revision", description="Branch, tag or commit on the Hub.", min_length=1, max_length=200)


class ExportConfig(BaseModel):
    """Make an ONNX graph to chat with from a model's weights."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        title="Model",
        description="A model in safetensors.",
        min_length=1,
        max_length=200,
        json_schema_extra={"choices": "weights"},
    )
    precision: Literal["int4", "int8", "fp32"] = Field(
        "int4", title="Precision", description="int4 is the fastest, int8 loses next to nothing, fp32 nothing."
    )


def run_pull(config: PullConfig, reporter: JobReporter) -> dict[str, Any]:
    """Fetch a model; see `engine.models.pull.pull`."""
    from engine.models.pull import pull

    database = Database(reporter.workspace.database)
    try:
        record = pull(config.model, reporter.workspace, database, reporter, as_name=config.name or None, revision=config.revision)
    finally:
        database.close()
    reporter.artefact("model", record.name)
    return {"model": record.name}


def run_export(config: ExportConfig, reporter: JobReporter) -> dict[str, Any]:
    """Build a graph; see `engine.models.build.build`."""
    from engine.models.build import build

    database = Database(reporter.workspace.database)
    try:
        record = build(config.model, reporter.workspace, database, reporter, precision=config.precision)
    finally:
        database.close()
    reporter.artefact("model", record.name)
    return {"model": record.name}
