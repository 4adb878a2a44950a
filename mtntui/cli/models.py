"""`mtntui models`: fetch, add, build, list, show and remove models."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtntui.cli.options import add_json_option
from mtntui.cli.output import local_time, note, print_json, print_table, print_text
from mtntui.terminal_text import one_line

if TYPE_CHECKING:
    from engine.progress import Reporter
    from engine.store.models import ModelRecord
    from mtntui.cli.context import Context

_FIELDS = (
    "name, state (ready, missing or damaged), format, precision, parameters, size_bytes,\ncontext_length, licence, parent, "
    "source, revision, architecture, path, created_at, chats"
)
_LINES = (
    "--json writes one object per line: {event: progress, phase, done, total, unit}, {event: log, line}, and at last\n"
    "{event: done, model} or {event: error, code, message, hint}."
)


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    group = commands.add_parser("models", help="fetch, list and remove models", description="The models on this machine.")
    parts = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_register_pull, _register_add, _register_build, _register_list, _register_show, _register_remove):
        add(parts)


def _register_pull(parts: Any) -> None:
    parser = parts.add_parser(
        "pull",
        help="fetch a model and make it ready to chat",
        description="Fetch a model and build the graph to chat with. A broken download is gone on with.",
        epilog="examples:\n  mtntui models pull smollm2-135m\n  mtntui models pull Qwen/Qwen2.5-0.5B-Instruct\n"
        f"  mtntui models pull ORG/NAME:FILE.gguf\n  mtntui models pull ORG/NAME --detach    as a job in the background\n\n"
        f"{_LINES}\nwith --detach, --json writes one object with id and state, like `mtntui jobs show`.",
    )
    parser.add_argument("model", metavar="NAME", help="smollm2-135m, ORG/NAME on the Hugging Face Hub, or ORG/NAME:FILE of it")
    parser.add_argument("--name", help="what to call it here")
    parser.add_argument("--revision", default="main", help="branch, tag or commit on the Hub (default: main)")
    parser.add_argument("--detach", action="store_true", help="fetch it as a job in the background: write the job's id and end")
    add_json_option(parser, "progress and result")
    parser.set_defaults(run=_pull)


def _register_add(parts: Any) -> None:
    parser = parts.add_parser(
        "add",
        help="take in a model that is on this machine",
        description="Take in a folder of safetensors, a GGUF file, or an ONNX folder with genai_config.json.\n"
        "Big files are linked, not copied, where the disk allows it. For weights the graph to chat with is built.",
        epilog=_LINES,
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="the folder or .gguf file")
    parser.add_argument("--name", help="what to call it; by default the folder's or file's name")
    parser.add_argument("--no-build", action="store_true", help="do not build a graph")
    add_json_option(parser, "progress and result")
    parser.set_defaults(run=_add)


def _register_build(parts: Any) -> None:
    parser = parts.add_parser(
        "build",
        help="build the graph to chat with from weights",
        description="Build an ONNX graph from a model's weights. It is named NAME-PRECISION.",
        epilog=_LINES,
    )
    parser.add_argument("model", metavar="NAME", help="a model in safetensors")
    parser.add_argument(
        "--precision",
        default="int4",
        choices=["int4", "int8", "fp32"],
        help="of its weights: int4 is the fastest, int8 loses next to nothing, fp32 nothing (default: int4)",
    )
    add_json_option(parser, "progress and result")
    parser.set_defaults(run=_build)


def _register_list(parts: Any) -> None:
    parser = parts.add_parser(
        "list", help="the models here", description="List the models.", epilog=f"--json writes a list of objects with {_FIELDS}."
    )
    add_json_option(parser, "the models")
    parser.set_defaults(run=_list)


def _register_show(parts: Any) -> None:
    parser = parts.add_parser(
        "show",
        help="all about one model",
        description="Show a model: what it is, where it comes from, what was made from it, its files.",
        epilog=f"--json writes one object with {_FIELDS},\nlineage, children, files, chat_template, details.",
    )
    parser.add_argument("model", metavar="NAME")
    add_json_option(parser, "the model")
    parser.set_defaults(run=_show)


def _register_remove(parts: Any) -> None:
    parser = parts.add_parser(
        "remove",
        help="delete a model",
        description="Delete a model and its files, at once. A model that others were made from is kept, unless they go too.",
        epilog="--json writes a list of the names that were removed.",
    )
    parser.add_argument("model", metavar="NAME")
    parser.add_argument("--with-children", action="store_true", help="delete what was made from it as well")
    add_json_option(parser, "what was removed")
    parser.set_defaults(run=_remove)


def _pull(arguments: argparse.Namespace, context: Context) -> int:
    if arguments.detach:
        from mtntui.cli.job_follow import queue_of, submitted

        config = {"model": arguments.model, "name": arguments.name or "", "revision": arguments.revision}
        return submitted(context, queue_of(context).submit("pull", config), detach=True)

    def work(reporter: Reporter) -> ModelRecord:
        from engine.models.pull import pull

        return pull(
            arguments.model,
            context.workspace,
            context.database,
            reporter,
            as_name=arguments.name,
            revision=arguments.revision,
        )

    return _long_work(work, context)


def _add(arguments: argparse.Namespace, context: Context) -> int:
    def work(reporter: Reporter) -> ModelRecord:
        from engine.models.add import add
        from engine.models.build import build
        from engine.models.weights import buildable_architectures

        record = add(arguments.path, context.workspace, context.database, reporter, name=arguments.name)
        if record.chats or arguments.no_build:
            return record
        if record.architecture not in buildable_architectures():
            reporter.log(f"{record.name} is kept as weights: no graph to chat with can be built for {record.architecture} yet")
            return record
        return build(record.name, context.workspace, context.database, reporter)

    return _long_work(work, context)


def _build(arguments: argparse.Namespace, context: Context) -> int:
    def work(reporter: Reporter) -> ModelRecord:
        from engine.models.build import build

        return build(arguments.model, context.workspace, context.database, reporter, precision=arguments.precision)

    return _long_work(work, context)


def _long_work(work: Callable[[Reporter], ModelRecord], context: Context) -> int:
    """Do work that reports, can be stopped, and ends in a model."""
    from engine.errors import EngineError
    from engine.models.describe import summarise
    from mtntui.cli.model_progress import JsonReporter, Stop, reporting

    with Stop().listening() as stop:
        try:
            with reporting(as_json=context.json, stop=stop) as reporter:
                try:
                    record = work(reporter)
                except EngineError as error:
                    if isinstance(reporter, JsonReporter):
                        reporter.failed(error)
                        return stop.status if stop() else 1
                    raise
                if isinstance(reporter, JsonReporter):
                    reporter.done(summarise(record))
                    return 0
        except EngineError as error:
            if stop():
                note(str(error))
                return stop.status
            raise
    print_text(f"{record.name} is ready" + (f": mtntui ask --model {record.name} …" if record.chats else ""))
    return 0


def _list(arguments: argparse.Namespace, context: Context) -> int:
    from engine.models.describe import summarise
    from engine.store.models import Models

    models = [summarise(record) for record in Models(context.database).all()]
    if context.json:
        print_json(models)
    elif not models:
        note("There are no models yet. Fetch one with `mtntui models pull smollm2-135m`.")
    else:
        headers = ("NAME", "FORMAT", "WEIGHTS", "PARAMETERS", "SIZE", "CONTEXT", "LICENCE", "MADE FROM", "")
        print_table(headers, [_row(model) for model in models], right=(3, 4, 5))
    return 0


def _row(model: dict[str, Any]) -> list[str]:
    from engine.models.staging import megabytes

    state = "" if model["state"] == "ready" else model["state"]
    return [
        model["name"],
        model["format"],
        model["precision"],
        _count(model["parameters"]),
        megabytes(model["size_bytes"]),
        f"{model['context_length']:,}" if model["context_length"] else "",
        model["licence"],
        model["parent"] or "",
        state or ("chats" if model["chats"] else ""),
    ]


def _count(parameters: int | None) -> str:
    """A number of weights as people say it."""
    if parameters is None:
        return ""
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if parameters >= scale:
            return f"{parameters / scale:.1f} {unit}"
    return str(parameters)


def _show(arguments: argparse.Namespace, context: Context) -> int:
    from engine.models.describe import describe
    from engine.models.staging import megabytes

    model = describe(arguments.model, context.database)
    if context.json:
        print_json(model)
        return 0
    context_length = f"{model['context_length']:,} tokens" if model["context_length"] else "unknown"
    lines = {
        "name": model["name"],
        "state": model["state"] + (", can be chatted with" if model["chats"] else ""),
        "format": f"{model['format']}, {model['precision']}",
        "architecture": model["architecture"],
        "parameters": f"{model['parameters']:,}" if model["parameters"] is not None else "unknown",
        "context": context_length,
        "chat template": "yes" if model["chat_template"] else "no",
        "licence": model["licence"] or "unknown",
        "source": f"{model['source']} {model['revision']}".strip(),
        "lineage": " from ".join(model["lineage"]),
        "made from it": ", ".join(model["children"]) or "nothing",
        "since": local_time(model["created_at"]),
        "folder": model["path"],
    }
    for label, value in lines.items():
        print_text(f"{label:<14} {one_line(value)}")
    print_text(f"{'files':<14} {megabytes(model['size_bytes'])}")
    for file in model["files"]:
        print_text(f"{'':<14} {megabytes(file['size_bytes']):>10}  {one_line(file['name'])}")
    return 0


def _remove(arguments: argparse.Namespace, context: Context) -> int:
    import asyncio

    from engine.inference.client import HostClient
    from engine.models.remove import descendants, remove
    from engine.store.models import Models

    record = Models(context.database).get(arguments.model)
    below = descendants(record.name, context.database) if arguments.with_children else []
    for model in (*below, record):
        if model.chats:
            asyncio.run(HostClient(context.settings).unload(model.name))
    remove(record.name, context.workspace, context.database, with_children=arguments.with_children)
    names = [model.name for model in (*below, record)]
    if context.json:
        print_json(names)
    else:
        print_text(f"removed {', '.join(names)}")
    return 0
