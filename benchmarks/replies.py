"""Replies that stream onto the screen: what they cost, how far the screen lags behind, how typing feels meanwhile."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyte
from harness import give_up
from programs import COLUMNS, ROWS, Program, bare, cpu_seconds, moments, ours, paint, running
from pty_program import PtyProgram
from scripted_host import scripted
from smollm2 import STORY, Model
from stores import SHORT_TAIL, add_conversation, new_store

from engine.inference.client import HostClient
from engine.settings import Settings
from engine.store.conversations import Conversations, StoredMessage
from engine.store.database import Database

CHARACTERS = 4
"""Of a scripted token, about as many as a real one has in English."""

_RATE = 100.0
_APPEND_RATE = 4.0
_ECHO_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Streamed:
    """One streamed reply.

    Attributes:
        cpu: seconds of the screen's process, from sending to rest.
        lags: seconds from a token's making until it was seen, for words spread over the reply; the last is its end.
    """

    cpu: float
    lags: list[float]


def reply_text(size: int) -> str:
    """Markdown of all kinds, with a word `mark000`, `mark001`, … every now and then, the last at its end."""
    parts = [
        "## The harbour in winter\n\nWhen the **first frost** comes, the boats are drawn up on the shingle and their owners mend"
        " nets in the long shed by the `slipway` until the light goes {mark}.\n\n",
        "- rope, tar and *new* canvas {mark}\n- a dozen lamps that burn all night\n- bread, and salt fish {mark}\n\n",
        "```python\ndef tide(hour: int) -> float:\n    return 2.1 * math.sin(hour / 12.4 * math.tau)\n```\n\n",
        "1. Look at the sky before dawn.\n2. Ask the old man at the end of the quay {mark}.\n3. Stay at home if he laughs.\n\n",
        "| month | storms | boats |\n|---|---|---|\n| January | 7 | 3 |\n| February | 5 | 4 |\n\nThen comes spring {mark}.\n\n",
    ]
    text, marks, turn = "", 0, 0
    while len(text) < size - 150:
        part = parts[turn % len(parts)]
        while "{mark}" in part:
            part = part.replace("{mark}", f"mark{marks:03}", 1)
            marks += 1
        text += part
        turn += 1
    return text + f"And so the year goes round, and the harbour keeps its own mark{marks:03}"


def stream_ours(text: str) -> Streamed:
    """The reply through our host's protocol and our screen."""
    with tempfile.TemporaryDirectory(prefix="mtntui-bench-") as folder:
        home, log = Path(folder) / "home", Path(folder) / "times.json"
        new_store(home)
        with scripted(home, text, _RATE, characters=CHARACTERS, log=log), _at_prompt(ours(home)) as terminal:
            return _watch(terminal, text, log, "Go on\r", CHARACTERS)


def stream_bare(text: str) -> Streamed:
    """The reply through Textual's own stream of Markdown."""
    with tempfile.TemporaryDirectory(prefix="mtntui-bench-") as folder:
        source, log = Path(folder) / "text.md", Path(folder) / "times.json"
        source.write_text(text, encoding="utf-8")
        program = bare()
        program = replace(program, command=(*program.command, str(source), str(log), str(_RATE), str(CHARACTERS)))
        with _at_prompt(program) as terminal:
            return _watch(terminal, text, log, "Go on\r", CHARACTERS)


def append_cost(appends: int) -> float:
    """CPU milliseconds of our screen for one append to the tail, below 50 long messages; all of the screen's work counts."""
    words = [f"word{number:03} " for number in range(appends)]
    with tempfile.TemporaryDirectory(prefix="mtntui-bench-") as folder:
        home, log = Path(folder) / "home", Path(folder) / "times.json"
        workspace = new_store(home)
        add_conversation(workspace, 50, 2000, SHORT_TAIL)
        with (
            scripted(home, "".join(words), _APPEND_RATE, characters=len(words[0]), log=log),
            _at_prompt(ours(home), SHORT_TAIL) as terminal,
        ):
            terminal.send("Go on\r")
            terminal.wait_for(b"word002", timeout=20)
            before = cpu_seconds(terminal.process.pid)
            terminal.wait_for(f"word{appends - 3:03}".encode(), timeout=appends / _APPEND_RATE + 20)
            return 1000 * (cpu_seconds(terminal.process.pid) - before) / (appends - 5)


@contextmanager
def _at_prompt(program: Program, shown: str = "") -> Iterator[PtyProgram]:
    """The program, come to rest with its prompt, and perhaps a conversation, in sight."""
    with running(program) as terminal:
        paint(program, terminal)
        if shown:
            terminal.wait_for(shown, timeout=20)
            terminal.wait_until_quiet(0.5)
        yield terminal


def _watch(terminal: PtyProgram, text: str, log: Path, keys: str, characters: int) -> Streamed:
    before = cpu_seconds(terminal.process.pid)
    terminal.send(keys)
    deadline = time.monotonic() + 60
    while not log.exists():
        if time.monotonic() > deadline:
            give_up(f"no reply within 60 s; the screen:\n{terminal.text()}")
        time.sleep(0.1)
    terminal.wait_until_quiet(1.0, timeout=20)
    cpu = cpu_seconds(terminal.process.pid) - before
    made = json.loads(log.read_text())
    count = text.count("mark0")
    marks = [f"mark{number:03}" for number in range(count)]
    seen = _first_seen(terminal.chunks, marks)
    if seen[-1] is None:
        give_up(f"the reply's end never became visible; the screen:\n{terminal.text()}")
    lags = []
    for mark, moment in zip(marks, seen, strict=True):
        if moment is not None:  # one that scrolled by between two frames was never seen, and the next one tells as much
            lags.append(moment - made[(text.index(mark) + len(mark) - 1) // characters])
    return Streamed(cpu, lags)


def _first_seen(chunks: Sequence[tuple[float, bytes]], words: Sequence[str]) -> list[float | None]:
    """When each word was first on the screen, whatever came before it."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    seen: dict[str, float] = {}
    for moment, data in chunks:
        stream.feed(data)
        shown = "\n".join(screen.display)
        for word in words:
            if word not in seen and word in shown:
                seen[word] = moment
    return [seen.get(word) for word in words]


# A real model behind the screen


@dataclass(frozen=True, slots=True)
class Chatted:
    """A real reply through the screen, with keys typed meanwhile.

    Attributes:
        rate: tokens per second as the generator counted them.
        echoes: seconds from each key typed meanwhile to its echo; endless for one that never came.
    """

    rate: float
    text: str
    tokens: int
    echoes: list[float]

    @property
    def echoed(self) -> float:
        """Percent of the keys that were on the screen within 50 ms."""
        return 100 * sum(seconds <= _ECHO_SECONDS for seconds in self.echoes) / len(self.echoes)


def chat(model: Model, tokens: int) -> Chatted:
    """Ask the real model through our screen, greedily, and type ten keys a second while it answers."""
    settings = {"TEMPERATURE": "0", "REPETITION_PENALTY": "1", "MAX_NEW_TOKENS": str(tokens), "SYSTEM": ""}
    with tempfile.TemporaryDirectory(prefix="mtntui-bench-") as folder:
        home = Path(folder) / "home"
        workspace = new_store(home, model.graph)
        client = HostClient(Settings(home=str(home)))
        asyncio.run(client.load("smollm2-135m-int4"))
        database = Database(workspace.database)
        try:
            program = ours(home)
            program = replace(program, env={**program.env, **{f"MTNTUI_CHAT_{key}": value for key, value in settings.items()}})
            with _at_prompt(program) as terminal:
                terminal.send(f"{STORY}\r")
                reply, typed = _type_until_over(terminal, Conversations(database))
                terminal.wait_until_quiet(0.5)
                echoes = _echo_delays(terminal.chunks, typed)
        finally:
            database.close()
            asyncio.run(client.shut_down())
    if reply.tokens_per_second is None or reply.completion_tokens is None:
        give_up(f"the reply through the screen failed: {reply.status} {reply.error}")
    return Chatted(reply.tokens_per_second, reply.content, reply.completion_tokens, echoes)


def _type_until_over(terminal: PtyProgram, conversations: Conversations) -> tuple[StoredMessage, list[tuple[float, str]]]:
    """Type from the reply's beginning to its end; returns it, and each key's time with what the prompt then holds."""
    sentence = "whilethisisbeingwrittenigoontyping"  # a blank at the end of a row could not be told from none
    typed: list[tuple[float, str]] = []
    text, deadline = "", time.monotonic() + 300
    reply = _reply(conversations)
    while reply is None or reply.status == "streaming":
        if time.monotonic() > deadline:
            give_up(f"the reply through the screen did not end within 5 minutes; the screen:\n{terminal.text()}")
        if reply is not None:
            key = sentence[len(text)] if len(text) < len(sentence) else "\x15"  # ctrl+u empties the line
            text = "" if key == "\x15" else text + key
            typed.append((time.monotonic(), text))
            terminal.send(key)
        time.sleep(0.1)
        reply = conversations.message(reply.id) if reply else _reply(conversations)
    return reply, typed


def _reply(conversations: Conversations) -> StoredMessage | None:
    for conversation in conversations.browse(limit=1):
        messages = conversations.messages(conversation.id)
        if messages and messages[-1].role == "assistant":
            return messages[-1]
    return None


def _echo_delays(chunks: Sequence[tuple[float, bytes]], typed: Sequence[tuple[float, str]]) -> list[float]:
    """Seconds from each key to the first frame whose prompt holds what it made; endless for one that never came."""
    if not typed:
        return []
    conditions = [_prompt_holds(text) for _, text in typed]
    start = typed[0][0]
    before = [chunk for chunk in chunks if chunk[0] < start]
    # One chunk with all that came before, so that no condition holds too early.
    later = [(start, b"".join(data for _, data in before)), *(chunk for chunk in chunks if chunk[0] >= start)]
    found = moments(later, conditions)
    return [moment - sent if moment is not None else float("inf") for moment, (sent, _) in zip(found, typed, strict=True)]


class _prompt_holds:
    """Whether the prompt's row holds exactly this text; an empty one shows its placeholder."""

    def __init__(self, text: str) -> None:
        self._text = (text or "Write a message").rstrip()

    def __call__(self, shown: str) -> bool:
        row = next((row for row in shown.splitlines() if row.lstrip().startswith("›")), "")
        return row.strip().removeprefix("›").strip() == self._text
