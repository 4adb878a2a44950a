"""What the screens work with: settings, store and chat, made once and handed to each screen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from mtntui.drafts import DraftFiles

if TYPE_CHECKING:
    from engine.chat.session import Chat
    from engine.inference.client import HostClient
    from engine.jobs.queue import JobQueue
    from engine.settings import Settings
    from engine.store.jobs import Jobs
    from mtntui.model_pull import ModelPull


@dataclass
class Services:
    """The engine's parts as one terminal uses them.

    Args:
        settings: what the user set.
        database: the workspace's, open.
    """

    settings: Settings
    database: Database

    @cached_property
    def conversations(self) -> Conversations:
        """The conversations on record."""
        return Conversations(self.database)

    @cached_property
    def models(self) -> Models:
        """The models on record."""
        return Models(self.database)

    @cached_property
    def jobs(self) -> Jobs:
        """The jobs on record; imported when they are first looked at, which is after the first paint."""
        from engine.store.jobs import Jobs

        return Jobs(self.database)

    @cached_property
    def queue(self) -> JobQueue:
        """The way to have jobs run; imported when it is first needed."""
        from engine.jobs.queue import JobQueue

        return JobQueue(self.settings, self.database)

    @cached_property
    def client(self) -> HostClient:
        """The way to the inference host; imported when it is first needed, which is after the first paint."""
        from engine.inference.client import HostClient

        return HostClient(self.settings)

    @cached_property
    def chat(self) -> Chat:
        """Conversations and generation together."""
        from engine.chat.session import Chat

        return Chat(self.database, self.client)

    @cached_property
    def pull(self) -> ModelPull:
        """The one fetch of a model that a terminal runs at a time; it outlives the dialog that began it."""
        from mtntui.model_pull import ModelPull

        return ModelPull(self.settings)

    @cached_property
    def drafts(self) -> DraftFiles:
        """What stands in prompts, kept on disk."""
        return DraftFiles(self.settings.workspace.home / "drafts")

    def runnable_models(self) -> list[ModelRecord]:
        """The models that can be chatted with, by name."""
        return [model for model in self.models.all() if model.chats]
