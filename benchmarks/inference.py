"""Text generation beside llama.cpp and transformers, on the same model in one run.

    python benchmarks/inference.py [--quick] [--json] [--rounds N]

Every subject runs in processes of its own with as many threads as there are physical cores. llama.cpp has its best settings:
Q4_0, which it repacks for the processor, the embedding at 4 bits too where that is faster, flash attention on. transformers has
the faster of eager and SDPA attention in fp32 and bf16.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import checkout
from harness import Goal, Options, Row, compare, give_up, in_turn, parse_options, say, show
from llama_cpp import NAME as LLAMA
from llama_cpp import QUANTISATIONS, LlamaCpp, Server
from peers import PeerError
from smollm2 import MIXED_TEXT, MODEL, STORY, Model, Prompts, workspace_with_model

from engine.inference.threads import physical_cores

_TURN_TOKENS = 1500
_QUESTION = "Thank you. What is the lighthouse keeper's name?"


def main() -> None:
    """Check, measure, print."""
    options = parse_options("Text generation beside llama.cpp and transformers.", rounds=5, quick_rounds=2)
    bench = InferenceBenchmark(options)
    bench.check_equality()
    show(f"Inference, SmolLM2-135M, {bench.threads} threads", bench.measure(), as_json=options.json)


class InferenceBenchmark:
    """All subjects with what they are asked.

    Args:
        options: `quick` decodes fewer tokens, fewer times.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self.threads = physical_cores()
        self._model: Model = workspace_with_model()
        self._prompts = Prompts(self._model.graph)
        self._repeat = 1 if options.quick else 3
        self._n = 64 if options.quick else 128
        self._plan = self._make_plan()
        self._llama, self._llama_trouble = self._set_up_llama()
        self._attention = self._dtype = ""

    def _make_plan(self) -> dict[str, Any]:
        prompts = self._prompts
        numbers = range(self._repeat)
        return {
            "threads": self.threads,
            "n": self._n,
            "repeat": self._repeat,
            "cold": prompts.prompt("Cold.", ["Good morning."]),
            # Each has a system prompt of its own at its start, so that no cache of an earlier one serves it.
            "short": [prompts.prompt(f"Short {number}.", [STORY]) for number in numbers],
            "long": [prompts.exactly(512, f"Long {number}.") for number in numbers],
            "chat": [prompts.prompt(f"Chat {number}.", ["How do I boil an egg?"]) for number in numbers],
            "turns": [
                (prompts.exactly(_TURN_TOKENS, f"Known {number}."), prompts.exactly(_TURN_TOKENS, f"Stranger {number}."))
                for number in numbers
            ],
            "question": _QUESTION,
            "through": prompts.prompt("Through.", [STORY]),
            "through_n": 128 if self._options.quick else 256,
        }

    def _set_up_llama(self) -> tuple[LlamaCpp | None, str]:
        try:
            return LlamaCpp(self.threads), ""
        except PeerError as error:
            say(f"llama.cpp is left out: {error}")
            return None, f"{LLAMA} could not be set up: {error}"

    # Equality

    def check_equality(self) -> None:
        """End unless all read a text as the same tokens and continue one beyond doubt alike."""
        say("checking that all subjects agree")
        trial = self._child("transformers-trial", self._model.weights)
        self._attention, self._dtype = max(trial, key=trial.__getitem__).split()
        check = [prompt | {"to_the_end": True} for prompt in self._prompts.certain()]
        transformers = self._child("transformers", self._model.weights, check=check, mixed_text=MIXED_TEXT)
        ids = {"ours": self._prompts.tokenizer.encode(MIXED_TEXT), "transformers": transformers["ids"]}
        ours = self._child("ours", self._model.graph, check=check)
        texts = {"ours": ours["texts"], "transformers": transformers["texts"]}
        if self._llama:
            for model in QUANTISATIONS:
                with self._llama.server(model) as server:
                    ids[model] = server.tokenize(MIXED_TEXT)
                    texts[model] = [server.complete(prompt["ids"], 64).text for prompt in check]
        for what, found in (("token ids of the mixed text", ids), ("continuation of sequences", texts)):
            if different := [name for name, value in found.items() if value != found["ours"]]:
                give_up(f"{what}: {different[0]} has {found[different[0]]}, ours {found['ours']}")
        say(f"equal: {len(ids['ours'])} token ids of a mixed text, continuations {texts['ours']}")

    # Measuring

    def measure(self) -> list[Row]:
        """Run all in turn and make the rows."""
        subjects: dict[str, Callable[[], dict[str, Any]]] = {
            "ours": self._ours,
            "ours through the host": self._through_host,
            "transformers": self._transformers,
        }
        if self._llama:
            subjects |= {name: partial(self._llama_bench, self._llama, name) for name in QUANTISATIONS}
            subjects["llama.cpp, one at a time"] = partial(self._llama_server, self._llama)
        results = in_turn(self._options.rounds, subjects)
        return [*self._llama_rows(results), *self._own_rows(results), *self._transformers_rows(results)]

    def _ours(self) -> dict[str, Any]:
        return self._child("ours", self._model.graph)

    def _transformers(self) -> dict[str, Any]:
        return self._child("transformers", self._model.weights)

    def _child(self, kind: str, folder: Path, **more: Any) -> dict[str, Any]:
        plan = self._plan | {"attention": self._attention, "dtype": self._dtype, **more}
        command = [sys.executable, str(Path(__file__).with_name("generators.py")), kind, str(folder)]
        start = time.monotonic()
        done = subprocess.run(
            command, input=json.dumps(plan), capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}, check=False
        )
        if done.returncode:
            give_up(f"{kind}: {done.stderr.strip()[-2000:]}")
        result: dict[str, Any] = json.loads(done.stdout)
        if "cold_first_token_at" in result:
            result["start"] = result["cold_first_token_at"] - start
        return result

    def _through_host(self) -> dict[str, Any]:
        return {"through": asyncio.run(_host_rate(self._model, self._plan))}

    def _llama_bench(self, llama: LlamaCpp, model: str) -> dict[str, Any]:
        bench = llama.bench(model, self._n, self._repeat)
        return {
            "decode_short": bench.decode_short,
            "decode_long": bench.decode_long,
            "prefill": bench.prefill,
            "peak_bytes": bench.peak_bytes,
            "start": llama.start_to_first_token(model, self._plan["cold"]["text"]),
        }

    def _llama_server(self, llama: LlamaCpp) -> dict[str, Any]:
        with llama.server("Q4_0 pure") as server:
            server.complete(self._plan["cold"]["ids"], 2)
            long = [server.complete(prompt["ids"], 1).first_token for prompt in self._plan["long"]]
            chat = [server.complete(prompt["ids"], 1).first_token for prompt in self._plan["chat"]]
            turns = [self._second_turn(server, known) for known, _ in self._plan["turns"]]
        return {key: sorted(values)[len(values) // 2] for key, values in (("long", long), ("chat", chat), ("turn", turns))}

    def _second_turn(self, server: Server, first: dict[str, Any]) -> float:
        reply = server.complete(first["ids"], 32)
        tail = self._prompts.tokenizer.encode(f"<|im_end|>\n<|im_start|>user\n{_QUESTION}<|im_end|>\n<|im_start|>assistant\n")
        second = server.complete(first["ids"] + reply.ids + tail, 1)
        if second.cached < len(first["ids"]):
            give_up(f"llama-server used only {second.cached} cached tokens of {len(first['ids'])} in the second turn")
        return second.first_token

    # Rows

    def _llama_rows(self, results: dict[str, list[dict[str, Any]]]) -> list[Row]:
        def each(name: str, key: str, unit: str, goal: Goal | None = None, scale: float = 1) -> list[Row]:
            better = "lower" if unit in {"s", "MiB"} else "higher"
            ours = [scale * result[key] for result in results["ours"]]
            return [
                compare(
                    name,
                    ours,
                    [scale * result[key] for result in results.get(model, [])],
                    self._llama_trouble or f"{LLAMA} {model}",
                    unit=unit,
                    better="lower" if better == "lower" else "higher",
                    goal=goal,
                )
                for model in QUANTISATIONS
            ]

        def beside(name: str, key: str, unit: str, scale: float = 1) -> Row:
            return min(each(name, key, unit, scale=scale), key=lambda row: row.ratio or 0)  # the peer's better way

        def answering(name: str, ours: str, theirs: str) -> Row:
            peer = [result[theirs] for result in results.get("llama.cpp, one at a time", [])]
            who = self._llama_trouble or f"{LLAMA} Q4_0 pure, llama-server"
            return compare(name, [result[ours] for result in results["ours"]], peer, who, unit="s", better="lower")

        return [
            *each("decode, short context", "decode_short", "tokens/s", Goal(ratio=1.0)),
            *each("decode after 512 tokens", "decode_long", "tokens/s", Goal(ratio=1.1)),
            beside("prefill of 512 tokens", "prefill", "tokens/s"),
            answering("first token, short chat prompt", "first_token_chat", "chat"),
            answering("first token, prompt of 512 tokens", "first_token_long", "long"),
            answering(f"first token, second turn after {_TURN_TOKENS:,} tokens", "turn_cached", "turn"),
            beside("process start to first token", "start", "s"),
            beside("peak memory", "peak_bytes", "MiB", scale=1 / 2**20),
        ]

    def _own_rows(self, results: dict[str, list[dict[str, Any]]]) -> list[Row]:
        ours = results["ours"]
        return [
            compare(
                "second turn: cache reused beside read anew",
                [result["turn_cached"] for result in ours],
                [result["turn_anew"] for result in ours],
                "ours without the cache",
                unit="s",
                better="lower",
            ),
            compare(
                "decode through the host",
                [result["through"] for result in results["ours through the host"]],
                [result["through"] for result in ours],
                "ours in process",
                unit="tokens/s",
                better="higher",
            ),
        ]

    def _transformers_rows(self, results: dict[str, list[dict[str, Any]]]) -> list[Row]:
        from importlib.metadata import version

        name = f"transformers {version('transformers')} {self._attention} {self._dtype}"

        def beside(title: str, key: str, unit: str, scale: float = 1) -> Row:
            ours = [scale * result[key] for result in results["ours"]]
            peer = [scale * result[key] for result in results["transformers"]]
            return compare(title, ours, peer, name, unit=unit, better="higher" if unit == "tokens/s" else "lower")

        return [
            beside("decode, short context", "decode_short", "tokens/s"),
            beside("decode after 512 tokens", "decode_long", "tokens/s"),
            beside("prefill of 512 tokens", "prefill", "tokens/s"),
            beside("first token, short chat prompt", "first_token_chat", "s"),
            beside("process start to first token", "start", "s"),
            beside("peak memory", "peak_bytes", "MiB", 1 / 2**20),
        ]


async def _host_rate(model: Model, plan: dict[str, Any]) -> float:
    """Tokens per second as a client of the inference host sees them, from the first piece of text to the end."""
    from engine.inference.client import HostClient
    from engine.inference.types import Finished, GenerationRequest, Message, SamplingParameters, TextDelta

    client = HostClient(model.settings)
    messages: Sequence[Message] = [Message(role, content) for role, content in plan["through"]["messages"]]
    parameters = SamplingParameters(max_new_tokens=plan["through_n"], temperature=0, repetition_penalty=1)
    rates = []
    try:
        await client.load(MODEL)
        for _ in range(plan["repeat"]):
            first: tuple[float, int] | None = None
            async for event in client.stream(GenerationRequest(MODEL, messages, parameters)):
                if isinstance(event, TextDelta) and first is None:
                    first = time.perf_counter(), event.completion_tokens
                elif isinstance(event, Finished):
                    assert first is not None
                    rates.append((event.completion_tokens - first[1]) / (time.perf_counter() - first[0]))
    finally:
        await client.shut_down()
    return sorted(rates)[len(rates) // 2]


if __name__ == "__main__":
    assert checkout.ROOT
    main()
