"""Sampling agrees with transformers' logits processors, which define what the parameters mean."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.errors import EngineError, InvalidInputError
from engine.inference.sampling import Sampler, nucleus
from engine.inference.types import SamplingParameters

VOCABULARY = 97
CONTEXT = [3, 5, 5, 80]


def oracle(logits: np.ndarray, parameters: SamplingParameters) -> np.ndarray:
    """The distribution that transformers would sample from."""
    steps = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(parameters.repetition_penalty)])
    steps.append(TemperatureLogitsWarper(parameters.temperature))
    if parameters.top_k:
        steps.append(TopKLogitsWarper(parameters.top_k))
    if parameters.top_p < 1:
        steps.append(TopPLogitsWarper(parameters.top_p))
    scores = steps(torch.tensor([CONTEXT]), torch.tensor(logits)[None])
    return torch.softmax(scores[0].double(), -1).numpy()


def drawn(logits: np.ndarray, parameters: SamplingParameters, draws: int) -> np.ndarray:
    counts = np.zeros(VOCABULARY)
    sampler = Sampler(parameters, CONTEXT, VOCABULARY)
    fixed = Sampler(parameters, CONTEXT, VOCABULARY)
    for _ in range(draws):
        # Only the randomness goes on from draw to draw: what was drawn must not change the next distribution here.
        fixed._said, fixed._said_ids = sampler._said.copy(), sampler._said_ids.copy()
        counts[fixed.choose(logits.copy())] += 1
    return counts / draws


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 1.0, "top_p": 1.0},
        {"temperature": 0.6, "top_p": 0.8},
        {"temperature": 1.3, "top_p": 0.9, "top_k": 12},
        {"temperature": 0.9, "top_p": 0.5, "repetition_penalty": 1.4},
        {"temperature": 2.0, "top_p": 1.0, "top_k": 1},
        {"temperature": 1.0, "top_p": 0.0},
    ],
)
def test_draws_follow_transformers_distribution(values):
    logits = np.random.default_rng(0).normal(0, 2, VOCABULARY).astype(np.float32)
    parameters = SamplingParameters(seed=7, **values)
    expected, draws = oracle(logits, parameters), 20_000
    found = drawn(logits, parameters, draws)
    assert set(np.flatnonzero(found)) <= set(np.flatnonzero(expected)), "a token was drawn that must not be"
    # Five standard deviations of a binomial share, for each of 97 tokens.
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected * (1 - expected) / draws) + 1e-9).all()


def test_greedy_takes_the_highest_after_the_penalty():
    logits = np.zeros(VOCABULARY, dtype=np.float32)
    logits[5], logits[6] = 3.0, 2.9
    assert Sampler(SamplingParameters(temperature=0), CONTEXT, VOCABULARY).choose(logits.copy()) == 5
    penalised = Sampler(SamplingParameters(temperature=0, repetition_penalty=1.2), CONTEXT, VOCABULARY)
    assert penalised.choose(logits.copy()) == 6
    assert penalised.choose(logits.copy()) == 5, "what was just said is penalised as well: 3.0/1.2 beats 2.9/1.2"


def test_a_seed_repeats_and_no_seed_does_not():
    logits = np.random.default_rng(1).normal(0, 1, VOCABULARY).astype(np.float32)

    def tokens(seed):
        sampler = Sampler(SamplingParameters(seed=seed, temperature=1.5, top_p=1), CONTEXT, VOCABULARY)
        return [sampler.choose(logits.copy()) for _ in range(40)]

    assert tokens(11) == tokens(11)
    assert tokens(None) != tokens(None)


def test_tiny_temperature_does_not_overflow():
    logits = np.asarray([1000.0, 999.0, -1000.0], dtype=np.float32)
    assert Sampler(SamplingParameters(temperature=1e-6, seed=0), [], 3).choose(logits) == 0


def test_nan_is_an_error_and_not_a_token():
    logits = np.full(8, np.nan, dtype=np.float32)
    with pytest.raises(EngineError, match="NaN"):
        Sampler(SamplingParameters(temperature=0), [], 8).choose(logits)


def test_an_infinite_logit_is_an_error_and_not_a_crash():
    logits = np.array([1, np.inf, 2, 0], dtype=np.float32)
    with pytest.raises(EngineError, match="infinite"):
        Sampler(SamplingParameters(temperature=1), [], 4).choose(logits)


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-40, 1e-20])
def test_a_tiny_temperature_is_greedy(temperature):
    logits = np.array([1, 5, 2, 0], dtype=np.float32)
    assert Sampler(SamplingParameters(temperature=temperature, top_p=1), [], 4).choose(logits) == 1


@pytest.mark.parametrize(("field", "value"), [("seed", 1.5), ("top_k", 2.5), ("max_new_tokens", 1.5), ("stop", "abc")])
def test_parameters_of_the_wrong_kind_name_field_and_value(field, value):
    with pytest.raises(InvalidInputError, match=rf"`{field}` is '?{value}"):
        SamplingParameters(**{field: value})


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_nucleus_is_the_smallest_set_with_enough_weight(weights, top_p):
    array = np.asarray(weights, dtype=np.float32)
    total = array.sum(dtype=np.float64)
    if total == 0:
        return
    kept = nucleus(array, top_p)
    slack = 1e-6 * total
    assert array[kept].sum(dtype=np.float64) >= top_p * total - slack
    assert array[kept[:-1]].sum(dtype=np.float64) <= top_p * total + slack, "one less would do"
    rest = np.delete(array, kept)
    assert rest.size == 0 or rest.max() <= array[kept].min(), "a heavier one was left out"


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", -1), ("top_p", 1.5), ("top_k", -2), ("max_new_tokens", 0), ("repetition_penalty", 0), ("seed", -1)],
)
def test_parameters_out_of_bounds_name_field_and_value(field, value):
    with pytest.raises(InvalidInputError, match=rf"`{field}` is {value}") as caught:
        SamplingParameters(**{field: value})
    assert "to" in caught.value.hint
