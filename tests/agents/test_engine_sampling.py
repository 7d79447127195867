"""Sampling: the right distribution from one uniform number, and the log-probabilities of it."""

import math

import pytest
import torch

from agents.sampling import Choice, sample

LOGITS = torch.tensor([math.log(p) for p in (0.5, 0.3, 0.15, 0.05)])
GRID = [(k + 0.5) / 1000 for k in range(1000)]


def shares(choice: Choice) -> tuple[list[float], dict[int, float]]:
    rows = LOGITS.expand(len(GRID), -1)
    ids, logprobs = sample(rows, [choice] * len(GRID), GRID)
    return [ids.count(k) / len(GRID) for k in range(4)], dict(zip(ids, logprobs, strict=True))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_ids_come_as_often_as_their_probability_and_say_it(temperature):
    expected = torch.softmax(LOGITS / temperature, -1).tolist()
    found, logprobs = shares(Choice(temperature, 1.0))
    assert found == pytest.approx(expected, abs=2e-3)
    assert [math.exp(logprobs[k]) for k in range(4)] == pytest.approx(expected, abs=1e-6)


def test_top_p_keeps_the_fewest_ids_that_reach_it():
    found, logprobs = shares(Choice(1.0, 0.75))
    assert found == pytest.approx([0.625, 0.375, 0, 0], abs=2e-3)
    assert math.exp(logprobs[0]) == pytest.approx(0.625)


def test_greedy_rows_take_the_likeliest_id_with_its_logprob_at_temperature_one():
    rows = LOGITS.flip(0).expand(2, -1)
    ids, logprobs = sample(rows, [Choice(0.0, 0.1), Choice(1.0, 1.0)], [0.01, 0.01])
    assert ids == [3, 0]
    assert logprobs == pytest.approx([math.log(0.5), math.log(0.05)])


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_no_number_leads_to_an_id_of_no_probability(uniform):
    rows = torch.tensor([[-torch.inf, 0.0, 0.1, -torch.inf]])
    ids, logprobs = sample(rows, [Choice(1.0, 1.0)], [uniform])
    assert ids[0] in (1, 2)
    assert math.isfinite(logprobs[0])
