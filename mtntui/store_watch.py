"""Noticing that another program wrote to the workspace's database."""

from __future__ import annotations

from engine.store.database import Database


class StoreWatch:
    """Asks SQLite for its data version, which changes when another connection commits and costs microseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version = self._read()

    def _read(self) -> int:
        return int(self._database.query("PRAGMA data_version")[0][0])

    def changed(self) -> bool:
        """Whether somebody else wrote since the last time this was asked."""
        before, self._version = self._version, self._read()
        return before != self._version
