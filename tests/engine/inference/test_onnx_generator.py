"""The generator over a real (tiny, random) graph: what is reused, batched or interleaved never changes what comes out."""

import shutil

import numpy as np
import pytest
from tiny_models import tiny_graph, tiny_weights

from engine.errors import InvalidInputError, PromptTooLongError
from engine.inference.graph import Graph
from engine.inference.onnx_generator import OnnxGenerator
from engine.inference.types import Finished, GenerationRequest, Message, SamplingParameters, Started, TextDelta

GREEDY = SamplingParameters(temperature=0, max_new_tokens=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_graph(tmp_path_factory.mktemp("graph"), precision="fp32")


@pytest.fixture
def generator(folder):
    return OnnxGenerator(folder, threads=1)


def request(*texts, parameters=GREEDY):
    roles = ("user", "assistant")
    return GenerationRequest("tiny", [Message(roles[i % 2], text) for i, text in enumerate(texts)], parameters)


def finished(generator, *texts, **options):
    return list(generator.stream(request(*texts, **options)))[-1]


def started(generator, *texts, **options):
    return next(iter(list(generator.stream(request(*texts, **options)))))


def test_a_template_that_says_nothing_is_named(folder, tmp_path):
    silent = tmp_path / "silent"
    shutil.copytree(folder, silent)
    (silent / "chat_template.jinja").write_text("{# nothing #}")
    with pytest.raises(InvalidInputError, match="empty prompt"):
        finished(OnnxGenerator(silent, threads=1), "Hi")


def test_greedy_tokens_are_those_of_torch(folder, generator, tmp_path):
    """The whole path against transformers on the same weights: template, tokenizer, graph, cache, argmax."""
    import torch
    from transformers import AutoModelForCausalLM

    weights = tiny_weights(tmp_path / "weights")  # the seed that the graph's weights were made with
    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    prompt = generator._tokenizer.encode(generator._template.render([Message("user", "Hello there, how are you?")]))
    with torch.no_grad():
        theirs = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=24, do_sample=False,
            eos_token_id=list(generator._graph.config.end_tokens),
        )[0, len(prompt) :].tolist()  # fmt: skip
    ends = generator._graph.config.end_tokens
    text = generator._tokenizer.decode([token for token in theirs if token not in ends])
    assert finished(generator, "Hello there, how are you?").text == text.rstrip("\ufffd")


def test_the_stream_adds_up_and_ends_with_its_figures(generator):
    events = list(generator.stream(request("Tell me more")))
    assert isinstance(events[0], Started)
    end = events[-1]
    assert isinstance(end, Finished)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == end.text
    assert 0 < end.completion_tokens <= 24
    assert end.prompt_tokens == events[0].prompt_tokens
    assert end.first_token_ms > 0


def test_the_second_turn_reads_only_what_is_new(generator):
    first = "A long first message. " * 12
    reply = finished(generator, first)
    again = started(generator, first, reply.text, "And now?")
    # A random model spells words as no tokenizer would; the cache serves all the same.
    # The reply's last token was shown but never read, so it is read now, with the new turn.
    assert again.cached_tokens >= reply.prompt_tokens + reply.completion_tokens - 1


def test_a_reused_cache_gives_the_same_reply_as_a_fresh_one(folder, generator):
    turns = ["One two three. " * 20]
    for _ in range(3):
        reply = finished(generator, *turns)
        assert finished(OnnxGenerator(folder, threads=1), *turns).text == reply.text
        turns += [reply.text, "Go on, please."]


def test_regenerating_and_editing_go_back_to_the_shared_part(generator):
    opening = "Words that stay the same in both. " * 5
    finished(generator, opening + "first ending")
    other = started(generator, opening + "second ending")
    assert 0 < other.cached_tokens < other.prompt_tokens
    assert finished(generator, opening + "second ending").text == finished(generator, opening + "second ending").text


def test_a_prompt_is_read_in_pieces_with_the_same_result(folder):
    graph = Graph(folder, threads=1)
    ids = np.random.default_rng(0).integers(5, 300, (1, 90))
    whole = graph.run(graph.new_cache(capacity=90), ids, [90])
    cache = graph.new_cache(capacity=64)
    graph.run(cache, ids[:, :50], [50])
    cache.reserve(90, 50)
    pieces = graph.run(cache, ids[:, 50:], [90])
    np.testing.assert_allclose(pieces, whole, atol=1e-4)


def test_a_batch_gives_each_prompt_what_it_gets_alone(folder, generator):
    prompts = ["Hi", "Tell me a story about the sea and the ships on it. " * 3, "2 + 2?", "x"] * 3
    lengths = [4, 24, 1, 12, 24, 7, 24, 3, 2, 24, 5, 24]
    requests = [
        request(prompt, parameters=SamplingParameters(temperature=0, max_new_tokens=length))
        for prompt, length in zip(prompts, lengths, strict=True)
    ]
    together = generator.batch(requests)
    alone = [list(OnnxGenerator(folder, threads=1).stream(entry))[-1] for entry in requests]
    assert [end.text for end in together] == [end.text for end in alone]
    assert [end.reason for end in together] == [end.reason for end in alone]


def test_a_request_that_cannot_be_begun_fails_alone_in_its_batch(generator):
    prompts = ["word " * 5000, "Hi", *["Tell me more"] * 9, "word " * 5000]
    ends = generator.batch([request(prompt) for prompt in prompts])
    assert [place for place, end in enumerate(ends) if isinstance(end, PromptTooLongError)] == [0, 11]
    assert "too long" in str(ends[0])
    assert ends[1].text == finished(generator, "Hi").text
    assert all(isinstance(end, Finished) for end in ends[1:11])
    stopped = generator.batch([request("word " * 5000), request("Hi")], should_stop=lambda: True)
    assert isinstance(stopped[0], PromptTooLongError) and stopped[1].reason == "cancelled"


def test_a_batch_that_is_stopped_keeps_what_it_has(generator):
    asked = iter([False, False, False, True, True, True])
    ends = generator.batch([request("one"), request("two")], should_stop=lambda: next(asked))
    assert [end.reason for end in ends] == ["cancelled", "cancelled"]
    assert all(0 < end.completion_tokens < 24 for end in ends)


def test_stopping_keeps_what_was_generated(generator):
    count = iter(range(1000))
    end = list(generator.stream(request("Hello"), should_stop=lambda: next(count) >= 5))[-1]
    assert end.reason == "cancelled"
    assert 0 < end.completion_tokens <= 6


def test_replies_can_be_interleaved(folder, generator):
    alone = [finished(OnnxGenerator(folder, threads=1), text).text for text in ("first", "second one")]
    steps = [generator.steps(request("first")), generator.steps(request("second one"))]
    ends = {}
    while len(ends) < 2:
        for place, step in enumerate(steps):
            if isinstance(event := next(step, None), Finished):
                ends[place] = event.text
    assert [ends[0], ends[1]] == alone


def test_a_reply_ends_at_its_length_at_a_stop_string_and_at_the_context(generator):
    whole = finished(generator, "Hello").text
    assert finished(generator, "Hello").reason == "length"
    stop = whole[len(whole) // 2 :][:3]
    cut = finished(generator, "Hello", parameters=SamplingParameters(temperature=0, max_new_tokens=24, stop=(stop,)))
    assert cut.reason == "stop"
    assert cut.text == whole[: whole.index(stop)]
    long = SamplingParameters(temperature=0, max_new_tokens=100_000)
    full = finished(generator, "Hello", parameters=long)
    assert full.reason in {"context", "eos"}
    assert full.prompt_tokens + full.completion_tokens <= generator.context_length


def test_a_long_conversation_drops_its_oldest_turns_and_says_how_many(generator):
    turns = [f"message number {index} with some words" for index in range(61)]
    begin = started(generator, *turns)
    assert begin.dropped_messages > 0
    assert begin.prompt_tokens <= generator.context_length - GREEDY.max_new_tokens


def test_a_message_beyond_the_context_is_refused(generator):
    with pytest.raises(PromptTooLongError):
        list(generator.stream(request("word " * 5000)))


def test_folders_that_are_no_model_say_what_is_missing(tmp_path, folder):
    with pytest.raises(InvalidInputError, match=r"no genai_config\.json"):
        OnnxGenerator(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "genai_config.json").write_text((folder / "genai_config.json").read_text())
    with pytest.raises(InvalidInputError, match="cannot be loaded"):
        OnnxGenerator(broken)
    (broken / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:1000])
    with pytest.raises(InvalidInputError, match="cannot be loaded"):
        OnnxGenerator(broken)
