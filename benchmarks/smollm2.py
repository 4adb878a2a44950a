"""SmolLM2-135M for the benchmarks: fetched by the project itself into a workspace in the cache, and prompts for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import checkout  # noqa: F401
from harness import cache_folder, say
from peers import locked

from engine.settings import Settings
from engine.workspace import Workspace

MODEL = "smollm2-135m"

_FILLER = (
    "The river runs past the old mill and the houses of the village, where people meet in the morning to talk about the"
    " weather, the price of bread and the boats that came in during the night. Some of them have lived here all their life."
)

STORY = "Write a long story about a lighthouse keeper and the sea."
"""The model goes on with this, decoding greedily, for more tokens than any benchmark wants."""

MIXED_TEXT = """<|im_start|>user
Grüße, κόσμε! 你好,世界 — naïve café, "quotes" … it's 3.14159e-10, isn't it?\t\ttabs
    def f(x: int) -> str:\n        return f"{x!r}"  # code\r\n\n\n🦊👩‍💻 مرحبا नमस्ते  two  spaces<|im_end|>
"""

# What a model of any precision is sure of; where two are nearly alike, rounding would decide.
_ALPHABET = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z"
_CERTAIN = (
    ("2, 4, 6,", "8, 10, 12,", "14, 16, 18,", "20, 22, 24,", "26, 28, 30,", "32, 34, 36,", "38, 40, 42,"),
    ("10, 20, 30,", "40, 50, 60,", "70, 80, 90,", "100, 110, 120,", "130, 140, 150,", "160, 170, 180,", "190, 200, 210,"),
    ("a b c d e f g", "h i j k l m n", "a b c d e f g", "h i j k l m n", "a b c d e f g"),
    (_ALPHABET,) * 5,
)


@dataclass(frozen=True, slots=True)
class Model:
    """The model on disk: its workspace, the graph that ours runs, and the weights that it was made from."""

    settings: Settings
    graph: Path
    weights: Path


def workspace_with_model() -> Model:
    """The cache's workspace; the model is pulled into it on the first run.

    Raises:
        EngineError: it could not be fetched.
    """
    from engine.models.pull import pull
    from engine.progress import CallbackReporter
    from engine.store.database import Database
    from engine.store.models import Models

    workspace = Workspace(cache_folder() / "workspace").prepare()
    with locked(cache_folder() / "workspace.lock"):
        database = Database(workspace.database)
        try:
            if not any(record.chats for record in Models(database).all()):
                say(f"fetching {MODEL} into {workspace.home} (once; its time is not counted)")
            record = pull(MODEL, workspace, database, CallbackReporter())
            weights = Models(database).lineage(record.name)[-1]
        finally:
            database.close()
    return Model(Settings(home=str(workspace.home)), record.path, weights.path)


class Prompts:
    """Conversations with their token ids, so that every subject reads exactly the same.

    Args:
        folder: the model's, for its tokenizer and chat template.
    """

    def __init__(self, folder: Path) -> None:
        from engine.inference.chat_template import load_chat_template
        from engine.inference.tokenizer import Tokenizer

        self.tokenizer = Tokenizer(folder)
        self._template = load_chat_template(folder)

    def prompt(self, system: str, turns: Sequence[str]) -> dict[str, Any]:
        """A conversation, the user's turns and the replies alternating: its messages, rendered text and token ids."""
        from engine.inference.types import Message

        messages = [Message("system", system)]
        messages += [Message("assistant" if place % 2 else "user", turn) for place, turn in enumerate(turns)]
        text = self._template.render(messages)
        ids = self.tokenizer.encode(text)
        return {"messages": [[message.role, message.content] for message in messages], "text": text, "ids": ids}

    def exactly(self, tokens: int, system: str, question: str = STORY) -> dict[str, Any]:
        """A prompt of one user turn that is so many tokens long, filled up with prose."""
        count = padding = 0
        while True:
            words = [*islice(cycle(_FILLER.split()), count), *["and"] * padding]
            prompt = self.prompt(system, [f"{' '.join(words)}\n\n{question}"])
            missing = tokens - len(prompt["ids"])
            if missing == 0:
                return prompt
            if missing < 0:
                raise ValueError(f"no prompt of exactly {tokens} tokens: {-missing} too many")
            # A word of the prose is one token or two, the padding's is one.
            if missing > 10:
                count += missing // 3
            else:
                padding += missing

    def certain(self) -> list[dict[str, Any]]:
        """Prompts whose continuation is beyond doubt."""
        return [self.prompt("Continue the sequence.", turns) for turns in _CERTAIN]
