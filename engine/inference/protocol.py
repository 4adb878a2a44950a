"""What the inference host and its clients say to each other: one JSON object a line over a Unix socket.

The host greets first. The client then sends one request, and the host answers with events until the last one, or with an
error. A connection serves one request.

Three things stay as they are in every version: the greeting, the request `{"op": "shut_down"}`, which ends the host, and the
request `{"op": "drain"}`, by which the host takes no new work and ends when what it does is done. It answers the latter with
`{"event": "draining", "active": N}`, N being how many replies it still writes. By them a client gets a host of another version
out of its way without harm to the terminals that use it. Whatever else changes is a new `PROTOCOL`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from engine import __version__
from engine.errors import EngineError, HostError, error_from
from engine.inference.types import Event, Finished, GenerationRequest, Message, SamplingParameters, Started, TextDelta, Waiting

PROTOCOL = 1

# A line holds a whole conversation; 64 MiB is beyond any context.
LONGEST_LINE = 64 << 20

_EVENTS: dict[str, type[Event]] = {"waiting": Waiting, "started": Started, "text": TextDelta, "finished": Finished}
_NAMES = {kind: name for name, kind in _EVENTS.items()}


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A running inference host.

    Attributes:
        loaded: the models in memory.
        replies: the stored replies being written, by message id.
        active: how many generations run or wait.
        memory_bytes: the process's resident memory; 0 where the platform does not tell.
        idle_seconds: since anybody used it.
    """

    pid: int
    version: str
    loaded: list[str]
    replies: list[int]
    active: int
    memory_bytes: int
    idle_seconds: float


def line(value: dict[str, Any]) -> bytes:
    """One line of the protocol."""
    # Escaped to ASCII: a lone surrogate in somebody's text cannot be written as UTF-8.
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def greeting(pid: int) -> dict[str, Any]:
    """What the host says first."""
    return {"hello": "mtntui inference host", "protocol": PROTOCOL, "version": __version__, "pid": pid}


def request_to_dict(request: GenerationRequest) -> dict[str, Any]:
    """A request to generate, as plain values."""
    return {
        "op": "generate",
        "model": request.model,
        "messages": [[message.role, message.content] for message in request.messages],
        "parameters": request.parameters.as_dict(),
        "reply": request.reply,
    }


def request_from_dict(values: dict[str, Any]) -> GenerationRequest:
    """The inverse of `request_to_dict`."""
    return GenerationRequest(
        model=values["model"],
        messages=[Message(role, content) for role, content in values["messages"]],
        parameters=SamplingParameters.from_dict(values["parameters"]),
        reply=values["reply"],
    )


def event_to_dict(event: Event) -> dict[str, Any]:
    """An event, as plain values."""
    return {"event": _NAMES[type(event)]} | asdict(event)


def error_to_dict(error: EngineError) -> dict[str, Any]:
    """An error, as plain values."""
    return {"event": "error", "code": error.code, "message": error.message, "hint": error.hint}


def event_from_dict(values: dict[str, Any]) -> Event:
    """The inverse of `event_to_dict`; raises the error when it is one."""
    name = values.pop("event", None)
    if name == "error":
        raise error_from(str(values["code"]), str(values["message"]), str(values["hint"]))
    if name not in _EVENTS:
        raise HostError("The inference host said something unknown.", "Run `mtntui host stop`, then try again.")
    return _EVENTS[name](**values)
