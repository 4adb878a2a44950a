"""A real inference host whose model says a given text at a given rate.

Run as `python scripted_host.py HOME TEXT_FILE TOKENS_PER_SECOND CHARACTERS LOG`.

Everything but the model is the product's own: threads, protocol, broadcast, growth in the store. Used where a test or a
benchmark must know what the reply will be. `scripted(…)` starts one and ends it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.inference import host, onnx_generator
from engine.inference.types import Event, Finished, GenerationRequest, Started, TextDelta
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from engine.workspace import Workspace

MODEL = "scripted"


class ScriptedGenerator:
    """Says the same text each time, at its rate or as fast as it is asked."""

    text = ""
    rate = 0.0
    characters = 4
    log: Path | None = None

    def __init__(self, folder: Path, threads: int = 0) -> None:
        pass

    def steps(self, request: GenerationRequest, should_stop: Callable[[], bool]) -> Iterator[Event | None]:
        yield Started(10, 0, 0, 8192)
        began, said = time.monotonic(), 0
        tokens = [self.text[at : at + self.characters] for at in range(0, len(self.text), self.characters)]
        made: list[float] = []
        for count, token in enumerate(tokens, 1):
            if should_stop():
                break
            if self.rate:
                time.sleep(max(0.0, began + count / self.rate - time.monotonic()))
            said = count
            made.append(time.monotonic())
            yield TextDelta(token, count)
        reason = "eos" if said == len(tokens) else "cancelled"
        seconds = max(1e-6, time.monotonic() - began)
        yield Finished("".join(tokens[:said]), reason, 10, said, 1.0, said / seconds)
        if self.log is not None:
            part = self.log.with_suffix(".part")
            part.write_text(json.dumps(made))
            part.replace(self.log)


@contextmanager
def scripted(home: Path, text: str, rate: float = 0.0, *, characters: int = 4, log: Path | None = None) -> Iterator[None]:
    """Run a scripted host in the workspace at `home`, with its model on record; ended on leaving.

    Args:
        home: the workspace; made when it is not there.
        text: what every reply says; sent as UTF-8 with lone surrogates kept.
        rate: tokens per second; 0 is as fast as possible.
        characters: of the text, that count as one token.
        log: takes, when a reply is over, the time (`time.monotonic()`) of each of its tokens as a JSON list.
    """
    workspace = Workspace(home).prepare()
    folder = workspace.models / MODEL
    folder.mkdir(exist_ok=True)
    database = Database(workspace.database)
    Models(database).put(ModelRecord(MODEL, "onnx", folder, precision="int4", context_length=8192, size_bytes=1))
    database.close()
    script = folder / "text"
    script.write_bytes(text.encode("utf-8", "surrogatepass"))
    # Without -P this file's folder would come first on the path, and tests/engine would pass for the package.
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, home, script, str(rate), str(characters), log or ""],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    try:
        deadline = time.monotonic() + 20
        while not workspace.host_socket.exists():
            assert process.poll() is None, "the scripted host ended"
            assert time.monotonic() < deadline, "the scripted host did not start"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    ScriptedGenerator.text = Path(sys.argv[2]).read_bytes().decode("utf-8", "surrogatepass")
    ScriptedGenerator.rate, ScriptedGenerator.characters = float(sys.argv[3]), int(sys.argv[4])
    ScriptedGenerator.log = Path(sys.argv[5]) if sys.argv[5] else None
    onnx_generator.OnnxGenerator = ScriptedGenerator  # type: ignore[assignment,misc]
    sys.exit(host.main([sys.argv[1]]))
