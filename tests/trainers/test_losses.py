from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from trl import GRPOTrainer

LOSSES = ["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"]
ROWS, GROUP = 8, 4


class Replay:
    """A player that hands back recorded trajectories with other rewards; None leaves one unscored."""

    def __init__(self, trajectories):
        self.trajectories = trajectories
        self.rewards = [t.reward for t in trajectories]

    def play(self, tasks, *, seed):
        return [
            replace(t, reward=r, scores={}, turns=t.turns if index % 2 or r is not None else ())
            for index, (t, r) in enumerate(zip(self.trajectories, self.rewards, strict=True))
        ]


@pytest.fixture
def scene(make_trainer, request):
    """A trainer whose player replays one batch, and that batch's rows."""
    loss, *rest = request.param if isinstance(request.param, tuple) else (request.param,)
    changes = {"vllm_importance_sampling_mode": "token_truncate", **(rest[0] if rest else {})}
    trainer = make_trainer(loss_type=loss, **changes)
    rows = next(iter(trainer.get_train_dataloader()))
    trainer._generate_and_score_completions(rows)
    trainer._player = Replay(trainer._played)
    return trainer, rows


def gradient(trainer, losses):
    trainer.model.zero_grad()
    for loss in losses:
        loss().backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters()])


def expected_advantages(rewards, scale):
    """Advantages of the scored episodes alone, group by group."""
    values = []
    for start in range(0, len(rewards), GROUP):
        scored = torch.tensor([r for r in rewards[start : start + GROUP] if r is not None])
        centred = scored - scored.mean() if len(scored) > 1 else torch.zeros(len(scored))
        values.append(centred / (scored.std() + 1e-4) if scale == "group" and len(scored) > 1 else centred)
    return torch.cat(values)


def check_without_failed(trainer, rows, rewards):
    """Compare a batch holding unscored episodes with TRL's own loss on the scored ones."""
    trainer._player.rewards = [reward if reward is not None else 0.0 for reward in rewards]
    whole = trainer._generate_and_score_completions(rows)
    trainer._player.rewards = rewards
    batch = trainer._generate_and_score_completions(rows)
    kept = torch.tensor([reward is not None for reward in rewards])
    expected = expected_advantages(rewards, trainer.scale_rewards)
    torch.testing.assert_close(batch["advantages"][kept], expected)
    assert batch["advantages"][~kept].abs().sum() == 0
    survivors = {name: value if value.ndim == 0 else value[kept] for name, value in whole.items()}
    survivors["advantages"] = expected
    survivors["num_items_in_batch"] = (survivors["completion_mask"] * survivors["tool_mask"]).sum()
    if trainer.loss_type == "vespo":  # TRL would take it from the batch, where vLLM's would be
        survivors["importance_sampling_ratio"] = torch.ones_like(survivors["sampling_per_token_logps"])
    reference = gradient(trainer, [lambda: GRPOTrainer._compute_loss(trainer, trainer.model, survivors)])
    actual = gradient(trainer, [lambda: trainer.compute_loss(trainer.model, batch)])
    torch.testing.assert_close(actual, reference, rtol=1e-4, atol=1e-6)


rewards_with_failures = st.lists(
    st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=ROWS, max_size=ROWS
).filter(lambda rewards: any(reward is not None for reward in rewards))


@pytest.mark.parametrize("scene", LOSSES, indirect=True)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(rewards=rewards_with_failures)
def test_the_scored_episodes_learn_as_if_the_unscored_had_never_been(scene, rewards):
    check_without_failed(*scene, rewards)


@pytest.mark.parametrize(
    "scene",
    [
        ("grpo", {"scale_rewards": "group"}),
        ("dapo", {"scale_rewards": "group"}),
        ("grpo", {"importance_sampling_level": "sequence"}),
        ("dr_grpo", {"vllm_importance_sampling_mode": "sequence_mask"}),
    ],
    indirect=True,
)
@pytest.mark.parametrize(
    "rewards",
    [
        [None, None, None, None, 1.0, 0.0, 0.5, 1.0],
        [None, 1.0, None, None, 1.0, 0.0, 0.5, 1.0],
        [None, 1.0, None, None, None, None, 0.5, None],
        [0.0, 1.0, None, 0.5, None, None, 0.5, 0.25],
    ],
)
def test_groups_that_lose_all_or_all_but_one_teach_nothing_and_disturb_nothing(scene, rewards):
    check_without_failed(*scene, rewards)


@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", "dapo", "luspo", "cispo"])
def test_each_scored_episode_weighs_the_same_in_whatever_micro_batch_it_falls(make_trainer, loss):
    rewards = [None, None, None, 1.0, 0.0, 0.5, None, 1.0]
    gradients = []
    for parts in (1, 2):
        trainer = make_trainer(
            loss_type=loss, per_device_train_batch_size=ROWS // parts, gradient_accumulation_steps=parts
        )
        rows = next(iter(trainer.get_train_dataloader()))
        trainer._generate_and_score_completions(rows)
        trainer._player = Replay(trainer._played)
        trainer._player.rewards = rewards
        batch = trainer._generate_and_score_completions(rows)
        order = torch.arange(ROWS).view(parts, -1)
        micro = [{name: v if v.ndim == 0 else v[index] for name, v in batch.items()} for index in order]
        gradients.append(gradient(trainer, [lambda m=m, t=trainer: t.compute_loss(t.model, m) for m in micro]))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scene", LOSSES, indirect=True)
def test_one_of_several_processes_keeps_its_rows_and_learns_the_same(scene):
    trainer, rows = scene
    trainer._is_alone = False
    check_without_failed(trainer, rows, [0.0, 1.0, None, 0.5, None, 1.0, 0.5, None])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_micro_batch_of_unscored_episodes_alone_gives_a_loss_of_zero(make_trainer, loss):
    trainer = make_trainer(
        loss_type=loss, fails=lambda task_id, sample: True, vllm_importance_sampling_mode="token_mask"
    )
    batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    value = trainer.compute_loss(trainer.model, batch)
    value.backward()
    assert value.item() == 0
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in trainer.model.parameters())


def changed(trainer):
    """Train one step and return which parameters it moved."""
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    figures = trainer.state.log_history[0]
    assert all(value == value for value in figures.values() if isinstance(value, float))
    return {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_an_optimiser_step(make_trainer, loss):
    assert changed(make_trainer(loss_type=loss, beta=0.0, vllm_importance_sampling_mode="token_truncate"))


def test_sequence_level_importance_sampling_takes_an_optimiser_step(make_trainer):
    assert changed(make_trainer(loss_type="grpo", importance_sampling_level="sequence"))


def test_lora_moves_its_adapters_and_nothing_else(make_trainer):
    adapter = LoraConfig(r=4, target_modules="all-linear")
    moved = changed(make_trainer(peft_config=adapter, learning_rate=1e-1))
    assert moved
    assert all("lora_" in name for name in moved)


def test_full_fine_tuning_moves_every_matrix(make_trainer):
    trainer = make_trainer()
    names = {name for name, p in trainer.model.named_parameters() if p.ndim == 2}
    assert changed(trainer) >= names


def test_steps_on_reused_episodes_correct_with_the_policy_that_sampled_them(make_trainer):
    trainer = make_trainer(max_steps=4, num_iterations=2, learning_rate=5e-2)
    trainer.train()
    history = trainer.state.log_history[:4]
    assert [figures["sampling/sampling_logp_difference/max"] < 1e-5 for figures in history] == [True] * 4
    assert len(trainer._player.calls) == 2
