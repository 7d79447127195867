"""What the trainer relies on in TRL 1.16. A failure here means that TRL changed, not that the trainer did."""

from typing import Any

import pytest
import torch

END = 1


def rows(trainer: Any, count: int = 8) -> list[dict[str, Any]]:
    """Return a generation batch as TRL's own sampler gives it."""
    return next(iter(trainer.get_train_dataloader()))[:count]


def episodes(ids: list[list[int]], **more: list[Any]) -> dict[str, list[Any]]:
    """Return what a rollout function gives for completions."""
    return {
        "prompt_ids": [[2, 3]] * len(ids),
        "completion_ids": ids,
        "logprobs": [[-1.0] * len(row) for row in ids],
        **more,
    }


def ones(**_: Any) -> list[float]:
    return [1.0] * 8


def test_a_rollout_function_sees_prompts_only_already_repeated_for_each_group(make_stock):
    seen = []

    def rollout(prompts, trainer):
        seen.append((prompts, trainer))
        return episodes([[4, END]] * len(prompts))

    trainer = make_stock(rollout, ones)
    inputs = rows(trainer)
    trainer._generate_and_score_completions(inputs)
    prompts, passed = seen[0]
    assert passed is trainer
    assert prompts == [row["prompt"] for row in inputs]
    assert prompts[:4] == [prompts[0]] * 4 != prompts[4:] == [prompts[4]] * 4


def test_the_rows_reach_generate_and_score_with_all_their_columns(make_stock):
    trainer = make_stock(None, ones)
    assert {frozenset(row) for row in rows(trainer)} == {frozenset({"prompt", "task"})}


@pytest.mark.parametrize("missing", ["prompt_ids", "completion_ids", "logprobs"])
def test_a_rollout_function_must_return_ids_and_logprobs(make_stock, missing):
    def rollout(prompts, trainer):
        output = episodes([[4, END]] * len(prompts))
        del output[missing]
        return output

    trainer = make_stock(rollout, ones)
    with pytest.raises(ValueError, match=missing):
        trainer._generate_and_score_completions(rows(trainer))


def test_other_list_fields_reach_reward_functions_and_rows(make_stock):
    given = []

    def reward(reward, **_):
        given.append(reward)
        return reward

    values = [0.5 * index for index in range(8)]
    trainer = make_stock(lambda prompts, _: episodes([[4, END]] * 8, reward=values), reward)
    inputs = rows(trainer)
    trainer._generate_and_score_completions(inputs)
    assert given == [values]
    assert [row["reward"] for row in inputs] == values


def test_env_mask_takes_tokens_out_of_the_loss_and_out_of_its_normaliser(make_stock):
    mask = [[1, 0, 1]] * 8
    trainer = make_stock(lambda prompts, _: episodes([[4, 5, END]] * 8, env_mask=mask), ones)
    batch = trainer._generate_and_score_completions(rows(trainer))
    assert batch["tool_mask"].tolist() == mask
    assert int(batch["num_items_in_batch"]) == 16


def test_env_mask_is_ignored_by_a_trainer_with_tools(make_stock, monkeypatch):
    def rollout(prompts, _):
        return episodes([[4, 5, END]] * 8, env_mask=[[1, 0, 1]] * 8)

    trainer = make_stock(rollout, ones)
    trainer.tools = [print]
    loops = []

    def no_calls(prompts, prompt_ids, completion_ids, completions, logprobs, images, fields):
        loops.append(len(prompts))
        return [[1, 1, 1]] * 8, completions, completion_ids, logprobs, 0, 0, []

    monkeypatch.setattr(trainer, "_tool_call_loop", no_calls)
    batch = trainer._generate_and_score_completions(rows(trainer))
    assert loops == [8]
    assert batch["tool_mask"].min() == 1


def test_no_completion_may_be_empty(make_stock):
    trainer = make_stock(lambda prompts, _: episodes([[4, END]] * 7 + [[]]), ones)
    with pytest.raises(IndexError):
        trainer._generate_and_score_completions(rows(trainer))


def test_truncated_means_that_the_last_id_is_neither_end_nor_padding(make_stock):
    ids = [[4, END]] * 6 + [[4, 0], [4, 5]]
    trainer = make_stock(lambda prompts, _: episodes(ids), ones, mask_truncated_completions=True)
    batch = trainer._generate_and_score_completions(rows(trainer))
    assert trainer._metrics["train"]["completions/clipped_ratio"] == [1 / 8]
    assert batch["completion_mask"].sum(dim=1).tolist() == [2] * 7 + [0]


def test_truncation_is_masked_by_an_attribute_of_the_trainer(make_stock):
    trainer = make_stock(lambda prompts, _: episodes([[4, 5]] * 8), ones, mask_truncated_completions=True)
    trainer.mask_truncated_completions = False
    assert trainer._generate_and_score_completions(rows(trainer))["completion_mask"].min() == 1


def test_a_row_without_reward_leaves_the_baseline_but_not_the_normaliser(make_stock):
    rewards = [1.0, 0.0, 0.0, None, 1.0, 1.0, 0.0, 0.0]
    trainer = make_stock(lambda prompts, _: episodes([[4, END]] * 8), lambda **_: rewards)
    batch = trainer._generate_and_score_completions(rows(trainer))
    torch.testing.assert_close(batch["advantages"][:4], torch.tensor([2 / 3, -1 / 3, -1 / 3, 0.0]))
    assert int(batch["num_items_in_batch"]) == 16


def test_logprobs_of_the_sampler_are_kept_but_corrected_for_only_under_vllm(make_stock):
    trainer = make_stock(lambda prompts, _: episodes([[4, END]] * 8), ones, vllm_importance_sampling_correction=True)
    batch = trainer._generate_and_score_completions(rows(trainer))
    assert batch["sampling_per_token_logps"].tolist() == [[-1.0, -1.0]] * 8
    assert "importance_sampling_ratio" not in batch
    assert "old_per_token_logps" not in batch


def test_a_completion_longer_than_max_completion_length_is_not_cut(make_stock):
    trainer = make_stock(lambda prompts, _: episodes([[4] * 40] * 8), ones, max_completion_length=32)
    assert trainer._generate_and_score_completions(rows(trainer))["completion_ids"].shape == (8, 40)


def test_the_loss_reads_advantages_after_its_forward_pass_and_takes_one_for_each_token(make_trainer, monkeypatch):
    trainer = make_trainer(vllm_importance_sampling_correction=False)
    batch = trainer._prepare_inputs(rows(trainer))
    plain = trainer.compute_loss(trainer.model, dict(batch))
    correct = trainer._correct

    def double(inputs, logps):
        correct(inputs, logps)
        inputs["advantages"] = 2 * inputs["advantages"].unsqueeze(1).expand_as(logps)

    monkeypatch.setattr(trainer, "_correct", double)
    torch.testing.assert_close(trainer.compute_loss(trainer.model, dict(batch)), 2 * plain)


def test_old_logprobs_are_left_out_only_when_every_batch_is_new(make_stock):
    output = episodes([[4, END]] * 8)
    for steps, accumulation, expected in ((1, 1, False), (2, 2, False), (2, 1, True)):
        trainer = make_stock(
            lambda prompts, _: output,
            ones,
            per_device_train_batch_size=8 // steps,
            steps_per_generation=steps,
            gradient_accumulation_steps=accumulation,
        )
        batch = trainer._generate_and_score_completions(rows(trainer))
        assert ("old_per_token_logps" in batch) == expected


def test_rows_and_scalars_of_a_batch_survive_shuffling_and_splitting(make_trainer):
    trainer = make_trainer(per_device_train_batch_size=4, gradient_accumulation_steps=2)
    trainer._prepare_inputs(rows(trainer))
    first, second = trainer._buffered_inputs
    assert first["scored"].shape == second["scored"].shape == (4,)
    assert first["mean_scored"].ndim == second["mean_scored"].ndim == 0


def test_a_trainer_begins_to_count_micro_batches_at_zero_and_forgets_on_resume(make_stock):
    trainer = make_stock(None, ones)
    assert trainer._step == 0
    assert trainer._buffered_inputs is None
