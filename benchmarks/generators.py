"""One generator of the inference benchmark, alone in its process: reads a plan from standard input, prints what it measured.

Run as `python generators.py ours|transformers|transformers-trial FOLDER`. The plan and the result are JSON; a plan with "check"
asks only for the continuations that all subjects must share, one with "only" for those prompts' answers and nothing else.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any

Prompt = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply with its times.

    Attributes:
        first_token: seconds from asking to the first token.
        rate: tokens per second after the first.
        cached: how many of the prompt's tokens were not read anew.
    """

    text: str
    tokens: int
    first_token: float
    rate: float
    cached: int = 0


Ask = Callable[[Prompt, int], Answer]


def measure(ask: Ask, plan: dict[str, Any]) -> dict[str, Any]:
    """Everything that is measured of every generator, in the same order for all.

    Args:
        ask: continues a prompt greedily by at most so many tokens.
        plan: "cold", one prompt; "short", "long", "chat", lists of prompts; "n", how many tokens to decode.
    """
    n = plan["n"]
    start = monotonic()
    cold = ask(plan["cold"], 1)
    result: dict[str, Any] = {"cold_first_token_at": start + cold.first_token}
    short = [_whole(ask(prompt, n), n) for prompt in plan["short"]]
    long = [_whole(ask(prompt, n), n) for prompt in plan["long"]]
    result["peak_bytes"] = peak_bytes()
    chat = [ask(prompt, 1) for prompt in plan["chat"]]
    result["decode_short"] = median(answer.rate for answer in short)
    result["decode_long"] = median(answer.rate for answer in long)
    result["first_token_long"] = median(answer.first_token for answer in long)
    result["prefill"] = len(plan["long"][0]["ids"]) / result["first_token_long"]
    result["first_token_chat"] = median(answer.first_token for answer in chat)
    return result


def _whole(answer: Answer, n: int) -> Answer:
    if answer.tokens != n:
        raise SystemExit(f"the reply ended after {answer.tokens} of {n} tokens: {answer.text[-80:]!r}")
    if answer.cached:
        raise SystemExit(f"{answer.cached} tokens of a prompt that should be new came from the cache")
    return answer


def peak_bytes() -> int:
    """This process's largest resident size so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run_ours(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """`OnnxGenerator`: what the inference host runs."""
    import checkout  # noqa: F401

    from engine.inference.onnx_generator import OnnxGenerator
    from engine.inference.types import Finished, GenerationRequest, Message, SamplingParameters, Started, TextDelta

    generator = OnnxGenerator(folder, plan["threads"])

    def ask(prompt: Prompt, n: int) -> Answer:
        parameters = SamplingParameters(max_new_tokens=n, temperature=0, repetition_penalty=1)
        messages = [Message(role, content) for role, content in prompt["messages"]]
        first, cached, start = 0.0, 0, perf_counter()
        for event in generator.stream(GenerationRequest("", messages, parameters)):
            if isinstance(event, Started):
                cached = event.cached_tokens
                if event.prompt_tokens != len(prompt["ids"]) and "unchecked" not in prompt:
                    raise SystemExit(f"the prompt has {event.prompt_tokens} tokens instead of {len(prompt['ids'])}")
            elif isinstance(event, TextDelta):
                first = first or perf_counter() - start
            elif isinstance(event, Finished):
                return Answer(event.text, event.completion_tokens, first, event.tokens_per_second, cached)
        raise SystemExit("the generator ended without a Finished")

    if "check" in plan:
        return {"texts": [ask(prompt, 64).text for prompt in plan["check"]]}
    if "only" in plan:
        return {"answers": [ask(prompt, plan["n"]) for prompt in plan["only"]]}
    result = measure(ask, plan)
    result["through"] = median(_whole_rate(ask, plan["through"], plan["through_n"]) for _ in range(plan["repeat"]))
    turns = [_second_turn(ask, known, stranger, plan["question"]) for known, stranger in plan["turns"]]
    result["turn_cached"] = median(turn[0] for turn in turns)
    result["turn_anew"] = median(turn[1] for turn in turns)
    return result


def _whole_rate(ask: Ask, prompt: Prompt, n: int) -> float:
    answer = ask(prompt, n)
    if answer.tokens != n:
        raise SystemExit(f"the reply ended after {answer.tokens} of {n} tokens")
    return answer.rate


def _second_turn(ask: Ask, first: Prompt, stranger: Prompt, question: str) -> tuple[float, float]:
    """Seconds to the first token of a second turn: with the first turn's cache, and for a conversation never seen."""
    reply = ask(first, 32)
    following = [["assistant", reply.text], ["user", question]]
    cached = ask({"messages": first["messages"] + following, "ids": [], "unchecked": True}, 1)
    if cached.cached < len(first["ids"]):
        raise SystemExit(f"only {cached.cached} of {len(first['ids'])} tokens came from the cache")
    anew = ask({"messages": stranger["messages"] + following, "ids": [], "unchecked": True}, 1)
    if anew.cached:
        raise SystemExit(f"{anew.cached} tokens of a conversation never seen came from the cache")
    return cached.first_token, anew.first_token


def run_transformers(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """transformers with the attention and the dtype that the trial found fastest."""
    ask, tokenizer = _load_transformers(folder, plan["threads"], plan["attention"], plan["dtype"])
    if "check" in plan:
        ids = tokenizer.encode(plan["mixed_text"], add_special_tokens=False)
        return {"texts": [ask(prompt, 64).text for prompt in plan["check"]], "ids": ids}
    return measure(ask, plan)


def run_transformers_trial(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Tokens per second of a short decode by "attention dtype"."""
    rates = {}
    for attention in ("sdpa", "eager"):
        for dtype in ("float32", "bfloat16"):
            ask, _ = _load_transformers(folder, plan["threads"], attention, dtype)
            rates[f"{attention} {dtype}"] = max(ask(prompt, 24).rate for prompt in plan["short"])
    return rates


def _load_transformers(folder: Path, threads: int, attention: str, dtype: str) -> tuple[Ask, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation=attention).eval()

    torch.inference_mode(True).__enter__()  # for the rest of this process

    def ask(prompt: Prompt, n: int) -> Answer:
        # A bare loop rather than `generate`, which spends time a token on what greedy decoding does not need.
        cache = DynamicCache(config=model.config)
        ids = torch.tensor([prompt["ids"]])
        start = perf_counter()
        tokens: list[int] = []
        first = 0.0
        while True:
            logits = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
            token = int(logits[0, -1].argmax())
            first = first or perf_counter() - start
            if token == tokenizer.eos_token_id and "to_the_end" in prompt:
                break
            tokens.append(token)
            if len(tokens) == n:
                break
            ids = torch.tensor([[token]])
        seconds = perf_counter() - start - first
        rate = (len(tokens) - 1) / seconds if len(tokens) > 1 else 0.0
        return Answer(tokenizer.decode(tokens, skip_special_tokens=True), len(tokens), first, rate)

    return ask, tokenizer


RUNNERS = {"ours": run_ours, "transformers": run_transformers, "transformers-trial": run_transformers_trial}


def main() -> None:
    """Read the plan, measure, print."""
    kind, folder = sys.argv[1:]
    result = RUNNERS[kind](Path(folder), json.load(sys.stdin))
    print(json.dumps(result, default=asdict))


if __name__ == "__main__":
    main()
