"""Which model answers."""

from __future__ import annotations

from engine.errors import EngineError
from engine.store.conversations import Conversation
from engine.store.models import ModelRecord
from mtntui.services import Services


def choose_model(services: Services, conversation: Conversation | None) -> ModelRecord | None:
    """The conversation's own model, else the one of the settings, else the one used last, else any; None without one."""
    runnable = services.runnable_models()
    if not runnable:
        return None
    wanted = [conversation.model] if conversation is not None else []
    wanted.append(services.settings.chat.model)
    wanted += [last.model for last in services.conversations.browse(limit=5)]
    for name in filter(None, wanted):
        try:
            return services.models.runnable(name)
        except EngineError:  # It was removed since, or has no graph: the next one will do, the status line names it.
            continue
    return runnable[0]
