import math

import pytest
import torch

from trainers.importance import ImportanceCorrection, mismatch

SAMPLED = torch.zeros(2, 3)
LOGPROBS = torch.log(torch.tensor([[1.0, 2.0, 8.0], [0.25, 1.0, 5.0]]))
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("token_truncate", [[1.0, 2.0, 3.0], [0.5, 1.0, 1.0]]),
        ("token_mask", [[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]]),
        ("sequence_truncate", [[3.0], [0.5]]),
        ("sequence_mask", [[0.0], [0.0]]),
    ],
)
def test_ratios_are_bounded_per_token_or_per_sequence(mode, expected):
    ratio = ImportanceCorrection(mode, lowest=0.5, highest=3.0).ratio(LOGPROBS, SAMPLED, MASK)
    torch.testing.assert_close(ratio, torch.tensor(expected))


@pytest.mark.parametrize("mode", ["token_truncate", "token_mask"])
def test_without_bounds_the_ratio_is_what_it_is(mode):
    ratio = ImportanceCorrection(mode, lowest=None, highest=None).ratio(LOGPROBS, SAMPLED, MASK)
    torch.testing.assert_close(ratio, torch.tensor([[1.0, 2.0, 8.0], [0.25, 1.0, 1.0]]))


def test_a_logprob_that_the_sampler_lacks_counts_as_no_difference():
    sampled = torch.tensor([[math.nan, 0.0, 0.0], [0.0, 0.0, 0.0]])
    ratio = ImportanceCorrection("token_truncate", lowest=None, highest=None).ratio(LOGPROBS, sampled, MASK)
    assert ratio[0, 0] == 1.0
    assert mismatch(LOGPROBS, sampled, MASK)[1] == pytest.approx(math.log(8))


def test_the_mismatch_is_over_sampled_tokens_alone():
    mean, greatest = mismatch(LOGPROBS, SAMPLED, MASK)
    assert mean == pytest.approx((math.log(2) + math.log(8) + math.log(4)) / 5)
    assert greatest == pytest.approx(math.log(8))
    assert mismatch(LOGPROBS, SAMPLED, torch.zeros_like(MASK)) == (0.0, 0.0)


@pytest.mark.parametrize("mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
def test_the_correction_is_the_one_that_trl_applies_for_vllm(make_trainer, mode):
    bounds = {"vllm_importance_sampling_clip_max": 1.02, "vllm_importance_sampling_clip_min": 0.98}
    ours = make_trainer(vllm_importance_sampling_mode=mode, **bounds)
    ours._player.logprob_error = 0.01
    rows = next(iter(ours.get_train_dataloader()))
    batch = ours._generate_and_score_completions(rows)
    loss = ours.compute_loss(ours.model, batch)

    ours.use_vllm, ours._last_loaded_step = True, 0  # TRL's own path, with nothing to load
    ours._correction = None
    batch = ours._generate_and_score_completions(rows)
    assert "importance_sampling_ratio" in batch
    torch.testing.assert_close(ours.compute_loss(ours.model, batch), loss)
