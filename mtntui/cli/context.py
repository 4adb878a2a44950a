"""What every command is handed: the settings, and what is opened from them on first need."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.settings import Settings
    from engine.store.database import Database
    from engine.workspace import Workspace


class Context:
    """One run of the command line.

    Args:
        settings: None reads them from the environment and the settings file when they are first asked for.
        json: whether results and errors are written as JSON.
    """

    def __init__(self, settings: Settings | None = None, json: bool = False) -> None:
        self.json = json
        if settings is not None:
            self.settings = settings

    @cached_property
    def settings(self) -> Settings:
        """The user's settings.

        Raises:
            InvalidInputError: the settings file or a variable holds something that cannot be used.
        """
        from engine.settings import load_settings

        return load_settings()

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace, its folders made.

        Raises:
            StorageError: they cannot be made or written.
        """
        return self.settings.workspace.prepare()

    @cached_property
    def database(self) -> Database:
        """The workspace's database, brought up to date.

        Raises:
            StorageError: it is damaged, made by a newer version, or cannot be written.
        """
        from engine.store.database import Database

        return Database(self.workspace.database)

    def close(self) -> None:
        """Close the database if a command opened it."""
        if database := self.__dict__.pop("database", None):
            database.close()
