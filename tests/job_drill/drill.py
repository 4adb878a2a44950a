"""A job that does what a test tells it to, with a checkpoint at every step."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pydantic import BaseModel, Field

from engine.errors import EngineError
from engine.models.errors import StoppedError


class DrillConfig(BaseModel):
    name: str = "drill"
    steps: int = Field(20, ge=0, le=1_000_000)
    pause: float = 0.02
    rate: float = 0.0  # steps a second; instead of `pause`
    deaf: bool = False  # never asks whether to stop
    children: int = 0  # processes that ignore SIGTERM, in sessions of their own
    prints_mb: int = 0
    fills: bool = False  # the disk
    error: str = ""
    crash: bool = False
    made: str = ""  # the name of what it makes


def run(config: DrillConfig, reporter):
    alone = (reporter.folder / "alone").open("a")
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        (reporter.folder / "twice").touch()
    for _ in range(config.children):
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True, close_fds=True)
    for _ in range(config.prints_mb):
        print("x" * (1 << 20))
    if config.fills:
        with (reporter.folder / "large").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * (1 << 16))
    checkpoint = reporter.folder / "checkpoint"
    began, first = time.monotonic(), _reached(checkpoint)
    for step in range(first, config.steps):
        if reporter.should_stop() and not config.deaf:
            raise StoppedError("The drill")
        reporter.metric("loss", step, 1 / (step + 1))
        if config.rate:
            time.sleep(max(0.0, began + (step - first) / config.rate - time.monotonic()))
            continue
        _write(checkpoint, step)  # the step is done again after a resume: what was told of it may have been lost
        time.sleep(config.pause)
    if config.crash:
        os.kill(os.getpid(), signal.SIGSEGV)
    if config.error:
        raise EngineError(config.error, "Mend it.")
    if config.made:
        reporter.artefact("model", config.made)
    return {"steps": config.steps}


def _reached(checkpoint: Path) -> int:
    # What was told in the half second before a kill is not in the store: go back by more than that.
    return max(0, int(checkpoint.read_text()) - 60) if checkpoint.exists() else 0


def _write(checkpoint: Path, step: int) -> None:
    part = checkpoint.with_suffix(".part")
    part.write_text(str(step))
    part.replace(checkpoint)
