"""The models that the inference host keeps in memory."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import NotFoundError
from engine.inference.model_worker import ModelWorker
from engine.store.models import ModelRecord, Models


class ModelPool:
    """Loads models on demand and lets the ones used longest ago go.

    Args:
        models: the records to find models by.
        limit: how many idle models may stay loaded.
        threads: how many a model computes with.
        log: takes tracebacks.
    """

    def __init__(self, models: Models, *, limit: int, threads: int, log: Callable[[str], None]) -> None:
        self._models = models
        self._limit = limit
        self._threads = threads
        self._log = log
        self._workers: dict[tuple[str, str], ModelWorker] = {}

    @property
    def loaded(self) -> list[str]:
        """Names of the models in memory."""
        return [worker.name for worker in self._workers.values() if worker.settled.is_set() and not worker.trouble]

    def find(self, name: str) -> ModelRecord:
        """The record of a model to be run; for any thread, since the database may keep whoever asks it waiting.

        Raises:
            NotFoundError: there is no such model, or its files are gone.
            InvalidInputError: it has no graph.
        """
        record = self._models.runnable(name)
        if not record.path.is_dir():
            raise NotFoundError(
                f"The files of {record.name} are gone from {record.path}.", f"Fetch it again with `mtntui models pull {name}`."
            )
        return record

    def worker(self, record: ModelRecord) -> ModelWorker:
        """The worker of a model that `find` found; it may still be loading."""
        key = (record.name, record.created_at)  # a model that was built anew is loaded anew
        worker = self._workers.pop(key, None)
        if worker is not None and worker.trouble:  # what kept it from loading may be mended by now
            worker.close()
            worker = None
        worker = worker or ModelWorker(record.name, record.path, self._threads, self._log)
        self._workers[key] = worker  # the last one is the one used last
        self._evict(worker)
        return worker

    def unload(self, name: str) -> None:
        """Forget a model; what it is doing is finished first."""
        for key in [key for key in self._workers if key[0] == name]:
            self._workers.pop(key).close()

    def _evict(self, wanted: ModelWorker) -> None:
        idle = [key for key, worker in self._workers.items() if worker is not wanted and not worker.busy]
        for key in idle[: max(0, len(self._workers) - self._limit)]:
            self._workers.pop(key).close()
