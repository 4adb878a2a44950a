"""Makes the pictures in this folder from real screens, a real model and a real inference host.

`python screenshots/make.py` works in a temporary workspace and fetches the small model into it (93 MB or more);
`python screenshots/make.py --home DIR` works in that workspace, which keeps the model for the next time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from textual.pilot import Pilot

from engine.models.catalogue import DEFAULT_MODEL
from engine.models.pull import pull
from engine.progress import CallbackReporter
from engine.settings import ChatSettings, Settings
from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.workspace import HOME_VARIABLE
from mtntui.app import MtntuiApp
from mtntui.screens.chat.screen import ChatScreen
from mtntui.services import Services

FOLDER = Path(__file__).parent
QUESTIONS = (
    "What is the capital of France?",
    "Write a Python function that adds two numbers.",
    "Give me three short tips for learning a language.",
)


@asynccontextmanager
async def program(home: Path, size: tuple[int, int]) -> AsyncIterator[tuple[Pilot[int], ChatScreen]]:
    """The running program, the store read."""
    settings = Settings(home=str(home), chat=ChatSettings(max_new_tokens=300, temperature=0))
    database = Database(settings.workspace.prepare().database)
    app = MtntuiApp(Services(settings, database))
    try:
        async with app.run_test(size=size) as pilot:
            screen = cast(ChatScreen, app.screen)
            await until(lambda: screen.arrived)
            yield pilot, screen
    finally:
        await app.services.client.shut_down()
        database.close()


async def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the screen did not become what was waited for")
        await asyncio.sleep(0.02)


async def picture(pilot: Pilot[int], name: str) -> None:
    """Write the screen as it is to `NAME.svg`."""
    await pilot.pause(0.3)
    # Without this, viewers other than browsers drop the blanks at the beginning of each piece of text.
    drawing = pilot.app.export_screenshot(title="mtntui").replace("<svg ", '<svg xml:space="preserve" ', 1)
    (FOLDER / f"{name}.svg").write_text(drawing, encoding="utf-8")
    print(f"{name}.svg", file=sys.stderr)  # noqa: T201


async def first_start() -> None:
    """A workspace without anything in it."""
    with tempfile.TemporaryDirectory() as empty:
        async with program(Path(empty) / "home", (80, 24)) as (pilot, _):
            await picture(pilot, "first-start")


async def chat(home: Path) -> None:
    """Conversations, a reply while it streams and after, and the dialogs."""
    async with program(home, (120, 36)) as (pilot, screen):
        for question in QUESTIONS:
            await screen.desk.open_new()
            await ask(pilot, screen, question)
        await pilot.press("f6")
        await picture(pilot, "chat")
        for key, name in (("ctrl+o", "models"), ("f8", "correction"), ("f1", "help")):
            await pilot.press(key)
            await picture(pilot, name)
            await pilot.press("escape")
        await pilot.press("ctrl+f", *"paris")
        await until(lambda: screen.list.query_text == "paris" and screen.list.titles.option_count > 0)
        await picture(pilot, "search")


async def ask(pilot: Pilot[int], screen: ChatScreen, question: str) -> None:
    """Send a question and wait for the reply's end; a picture is taken on the way of the last one."""
    screen.prompt.put(question)
    await pilot.press("enter")
    await until(lambda: bool(screen.transcript.turns and screen.transcript.turns[-1].live))
    if question == QUESTIONS[-1]:
        await until(lambda: (screen.status.status.tokens_per_second or 0) > 0)
        await picture(pilot, "streaming")
    await until(lambda: screen.replying.reply is None and screen.transcript.turns[-1].live is None)


async def narrow(home: Path) -> None:
    """The same conversation at 80×24."""
    async with program(home, (80, 24)) as (pilot, _):
        await picture(pilot, "narrow")


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="a workspace to work in; its conversations are removed")
    with tempfile.TemporaryDirectory() as temporary:
        home = (parser.parse_args().home or Path(temporary) / "home").absolute()
        os.environ[HOME_VARIABLE] = str(home)
        workspace = Settings(home=str(home)).workspace.prepare()
        database = Database(workspace.database)
        for old in Conversations(database).browse(limit=1000):
            Conversations(database).delete(old.id)
        pull(DEFAULT_MODEL, workspace, database, CallbackReporter())
        database.close()
        asyncio.run(first_start())
        asyncio.run(chat(home))
        asyncio.run(narrow(home))


if __name__ == "__main__":
    main()
