"""What goes wrong, said so that a person can act on it."""

from __future__ import annotations


class EngineError(Exception):
    """Something a user can understand and mend.

    Args:
        message: one sentence that says what happened to what.
        hint: one sentence that says what to do about it.
    """

    code = "error"
    """A stable word for scripts (`--json`) and for the inference host's protocol."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class NotFoundError(EngineError):
    """A model, a conversation or a file that was named is not there."""

    code = "not_found"


class InvalidInputError(EngineError):
    """A value or a file that cannot be used; the message names the field, the value and what is allowed."""

    code = "invalid"


class UnsafeError(EngineError):
    """Refused because loading it could run somebody else's code."""

    code = "unsafe"


class StorageError(EngineError):
    """The disk or the database would not take or give what was asked."""

    code = "storage"


class HostError(EngineError):
    """The inference host could not be started, died, or did not answer."""

    code = "host"


class PromptTooLongError(EngineError):
    """A single message does not fit into the model's context."""

    code = "prompt_too_long"


_BY_CODE: dict[str, type[EngineError]] = {
    kind.code: kind
    for kind in (
        EngineError,
        NotFoundError,
        InvalidInputError,
        UnsafeError,
        StorageError,
        HostError,
        PromptTooLongError,
    )
}


def error_from(code: str, message: str, hint: str = "") -> EngineError:
    """The error that another process described by its `code`, `message` and `hint`; a code of no class here is kept as it is."""
    error = _BY_CODE.get(code, EngineError)(message, hint)
    error.code = code
    return error
