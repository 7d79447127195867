import logging

import pytest
import torch
from transformers import TrainerCallback

from rollout.trajectory import StopReason
from trainers.resuming import last_checkpoint


def history(trainer):
    """Return the figures of each step, without those that a clock made."""
    clocks = ("seconds/", "step_time", "train_", "total_flos")
    return [{k: v for k, v in entry.items() if not k.startswith(clocks)} for entry in trainer.state.log_history]


def steps(trainer):
    return [entry for entry in history(trainer) if "reward" in entry]


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


class StopAfter(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = state.global_step >= self.step


# What is trained


def test_what_was_sampled_is_trained_and_what_the_environment_said_is_not(make_trainer):
    trainer = make_trainer()
    batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    for row, trajectory in enumerate(trainer._player.trajectories):
        first, second = trajectory.turns
        counted = (batch["completion_mask"] * batch["tool_mask"])[row].bool()
        assert tuple(batch["completion_ids"][row][counted].tolist()) == first.completion_ids + second.completion_ids
        sampled = batch["sampling_per_token_logps"][row][counted]
        torch.testing.assert_close(sampled, torch.tensor(first.logprobs + second.logprobs))


def test_a_step_logs_reward_criteria_stops_tools_tokens_and_seconds(make_trainer):
    trainer = make_trainer()
    trainer.train()
    figures = trainer.state.log_history[0]
    assert figures["rubric/always"] == 1.0
    assert figures["rubric/low"] == pytest.approx(figures["reward"])
    assert figures["stop/answered"] == 1.0
    assert (figures["turns"], figures["tools/calls"], figures["tools/errors"]) == (2.0, 2.0, 2.0)
    assert figures["unscored"] == 0.0
    assert figures["sampling/sampling_logp_difference/max"] < 1e-4
    assert figures["sampling/importance_sampling_ratio/mean"] == pytest.approx(1.0, abs=1e-4)
    wanted = {"seconds/rollout", "seconds/prepare", "seconds/loss", "seconds/optimiser", "groups/flat", "num_tokens"}
    assert wanted <= figures.keys()


def test_the_same_task_is_played_as_one_group_in_one_call_and_every_step_anew(make_trainer):
    trainer = make_trainer(max_steps=3)
    trainer.train()
    calls = trainer._player.calls
    assert len({seed for _, seed in calls}) == 3
    for ids, _ in calls:
        assert ids[:4] == [ids[0]] * 4
        assert ids[4:] == [ids[4]] * 4


def test_another_seed_samples_other_episodes(make_trainer):
    played = []
    for seed in (0, 1, 0):
        trainer = make_trainer(seed=seed, data_seed=0)
        trainer.train()
        played.append([t.turns for t in trainer._player.trajectories])
    assert played[0] == played[2] != played[1]


def test_episodes_are_sampled_without_dropout_and_training_goes_on_with_it(make_trainer):
    trainer = make_trainer()
    modes = []
    play = trainer._player.play
    trainer._player.play = lambda tasks, seed: modes.append(trainer.model.training) or play(tasks, seed=seed)
    trainer.train()
    assert modes == [False]
    assert trainer.model.training


# Unscored and truncated


def test_a_step_without_a_scored_episode_moves_nothing_and_says_so(make_trainer, caplog):
    trainer = make_trainer(max_steps=3, weight_decay=0.1)
    calls = trainer._player.calls
    trainer._player.fails = lambda task_id, sample: len(calls) == 2
    seen = []

    class Weights(TrainerCallback):
        def on_step_end(self, *args, **kwargs):
            seen.append(weights(trainer))

    trainer.add_callback(Weights())
    with caplog.at_level(logging.WARNING, "toolgym.trainers"):
        trainer.train()
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
    assert "step 2: every episode is unscored" in caplog.text
    assert "SandboxError: gone" in caplog.text
    assert "SandboxError" not in caplog.text.split("SandboxError: gone", 1)[1]
    assert steps(trainer)[1]["unscored"] == 8.0
    assert steps(trainer)[1]["reward"] is None


def test_unscored_episodes_are_counted_and_not_averaged(make_trainer):
    trainer = make_trainer(fails=lambda task_id, sample: sample == 0)
    trainer.train()
    figures = trainer.state.log_history[0]
    scored = [t.reward for t in trainer._player.trajectories if t.scored]
    assert len(scored) == 6
    assert figures["reward"] == pytest.approx(sum(scored) / 6)
    assert figures["unscored"] == 2.0
    assert figures["stop/failed"] == 0.25
    assert figures["completions/min_length"] >= 7


def test_an_unscored_episode_keeps_the_hidden_answer_out_of_the_log(make_trainer, caplog):
    trainer = make_trainer(fails=lambda task_id, sample: sample == 0)
    trainer.train()
    assert "answer" not in caplog.text


@pytest.mark.parametrize("stop", [StopReason.MAX_TURNS, StopReason.MAX_TOKENS, StopReason.EPISODE_TIMEOUT])
def test_masking_truncated_episodes_goes_by_the_stop_reason(make_trainer, stop):
    def stops(task_id, sample):
        return stop if sample == 1 else StopReason.ENDED

    trainer = make_trainer(stops=stops, mask_truncated_completions=True)
    batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    counted = (batch["completion_mask"] * batch["tool_mask"]).sum(dim=1)
    assert (counted == 0).tolist() == [t.sample == 1 for t in trainer._player.trajectories]
    assert int(batch["num_items_in_batch"]) == int(counted.sum())
    assert trainer._metrics["train"]["completions/clipped_ratio"] == [0.25]


def test_truncated_episodes_are_trained_on_unless_masking_is_asked_for(make_trainer):
    trainer = make_trainer(stops=lambda task_id, sample: StopReason.MAX_TURNS)
    batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    assert (batch["completion_mask"] * batch["tool_mask"]).sum(dim=1).min() > 0
    assert trainer._metrics["train"]["completions/clipped_ratio"] == [1.0]


# Sampler and trainer


def test_a_sampler_that_is_off_is_measured_and_corrected_for(make_trainer):
    losses = {}
    for correct in (True, False):
        trainer = make_trainer(
            vllm_importance_sampling_correction=correct, vllm_importance_sampling_mode="token_truncate"
        )
        trainer._player.logprob_error = 0.25
        trainer.train()
        figures = trainer.state.log_history[0]
        assert figures["sampling/sampling_logp_difference/mean"] == pytest.approx(0.25, abs=1e-4)
        losses[correct] = figures["loss"]
        if correct:
            assert figures["sampling/importance_sampling_ratio/max"] == pytest.approx(0.7788, abs=1e-3)
    assert losses[True] == pytest.approx(losses[False] * 0.7788, rel=1e-3)


def test_the_correction_on_reused_episodes_is_that_of_the_policy_that_sampled(make_trainer):
    trainer = make_trainer(num_iterations=2, max_steps=2, learning_rate=1e-1)
    trainer._player.logprob_error = 0.25
    trainer.train()
    name = "sampling/sampling_logp_difference/mean"
    differences = [entry[name] for entry in trainer.state.log_history if name in entry]
    assert differences == pytest.approx([0.25, 0.25], abs=1e-4)


# Resuming


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4},
        {"num_iterations": 2},
        {"steps_per_generation": 4, "per_device_train_batch_size": 4},
        {"logging_steps": 2},
    ],
    ids=["plain", "accumulating", "reusing", "playing for several steps", "logging every other step"],
)
def test_a_resumed_run_repeats_an_unbroken_one(make_trainer, tmp_path, changes):
    common = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, **changes}
    unbroken = make_trainer(output_dir=str(tmp_path / "unbroken"), **common)
    unbroken.train()
    broken = make_trainer(output_dir=str(tmp_path / "broken"), **common)
    broken.add_callback(StopAfter(3))
    broken.train()
    assert broken.state.global_step == 3
    resumed = make_trainer(output_dir=str(tmp_path / "broken"), **common)
    resumed.train(resume_from_checkpoint=str(last_checkpoint(tmp_path / "broken")))
    assert [entry["step"] for entry in steps(resumed)] == [entry["step"] for entry in steps(unbroken)]
    assert torch.equal(weights(resumed), weights(unbroken))
    if "logging_steps" not in changes:
        assert steps(resumed) == steps(unbroken)


def test_a_run_resumes_in_its_second_pass_over_the_tasks(make_trainer, tmp_path):
    common = {"max_steps": 5, "save_strategy": "steps", "save_steps": 4, "output_dir": str(tmp_path / "out")}
    trainer = make_trainer(**common)  # three batches make a pass
    trainer.train()
    resumed = make_trainer(**common)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    assert resumed._player.calls == trainer._player.calls[4:]
    assert torch.equal(weights(resumed), weights(trainer))


def test_a_checkpoint_that_was_not_written_to_its_end_is_passed_over_and_refused(make_trainer, tmp_path):
    common = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "output_dir": str(tmp_path / "out")}
    make_trainer(**common).train()
    (tmp_path / "out" / "checkpoint-4" / "position-0.pt").unlink()
    assert last_checkpoint(tmp_path / "out") == tmp_path / "out" / "checkpoint-2"
    with pytest.raises(FileNotFoundError, match="incomplete"):
        make_trainer(**common).train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))


def test_there_is_no_last_checkpoint_in_an_empty_folder(tmp_path):
    assert last_checkpoint(tmp_path) is None


# Faults of the caller


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"use_vllm": True}, "use_vllm=True has no effect here: the agent samples"),
        ({"top_k": 5}, "top_k=5"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "the agent renders"),
        ({"reward_weights": [1.0]}, "weighs its criteria"),
        ({"max_completion_length": None}, "bounds an episode"),
        ({"per_device_train_batch_size": 32}, "6 tasks, but a generation batch holds 8"),
        ({"loss_type": "vespo"}, "vllm_importance_sampling_mode='token_truncate'"),
        ({"vllm_importance_sampling_mode": "none"}, "'none': there are token_truncate"),
    ],
)
def test_options_that_cannot_work_are_refused_in_words(make_trainer, changes, words):
    with pytest.raises(ValueError, match="(?s)" + words.replace("(", r"\(")):
        make_trainer(**changes)


def test_an_episode_longer_than_the_completion_limit_is_an_error_not_a_cut(make_trainer):
    with pytest.raises(ValueError, match="max_completion_length=8 bounds the whole episode"):
        make_trainer(max_completion_length=8).train()


def test_a_player_that_loses_episodes_is_found_out(make_trainer):
    trainer = make_trainer()
    play = trainer._player.play
    trainer._player.play = lambda tasks, seed: play(tasks, seed=seed)[:-1]
    with pytest.raises(ValueError, match="7 trajectories for 8 tasks"):
        trainer.train()
