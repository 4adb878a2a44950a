"""What can end the work on a model besides the errors that all of the engine knows."""

from __future__ import annotations

from engine.errors import EngineError


class StoppedError(EngineError):
    """The user asked for an end; what was fetched so far is kept."""

    code = "stopped"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was stopped.", "Run the same command again: it goes on from where it was.")


class BusyError(EngineError):
    """Another process is at work on the model."""

    code = "busy"


class DownloadError(EngineError):
    """A server could not be reached, broke off again and again, or refused.

    Args:
        message, hint: for the user.
        status: the HTTP status that was refused with, or None where no answer came.
        reason: a few words for the log ("connection refused").
        detail: the server's own code for it ("GatedRepo"), where it has one.
    """

    code = "download"

    def __init__(self, message: str, hint: str = "", *, status: int | None = None, reason: str = "", detail: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.reason = reason or message
        self.detail = detail
