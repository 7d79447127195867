import math
from dataclasses import replace

import pytest

from envs import Message
from rollout.trajectory import StopReason, Trajectory, Turn
from trainers.metrics import EpisodeFigures, completion_metrics, episode_metrics, group_metrics

TURN = Turn(
    Message.assistant("…"),
    (),
    (1,),
    (2, 3),
    (-1.0, -1.0),
    tool_calls=2,
    tool_errors=("refused",),
    agent_s=1.5,
    env_s=0.5,
)
PLAYED = Trajectory(
    env="e-v0",
    task_id="a",
    task={},
    sample=0,
    seed=0,
    opening=(),
    turns=(TURN, TURN),
    stop=StopReason.ENDED,
    reward=1.0,
    scores={"right": 1.0, "short": 0.5},
    success=True,
)
RIGHT = EpisodeFigures.of(PLAYED)
WRONG = replace(RIGHT, reward=0.0, scores={"right": 0.0}, success=False, stop=StopReason.MAX_TURNS, sampled_tokens=8)
FAILED = replace(RIGHT, reward=None, scores={}, stop=StopReason.FAILED, turns=0, attempts=3)


def test_means_are_over_scored_episodes_and_stops_are_shares_of_all():
    figures = episode_metrics([RIGHT, WRONG, FAILED, WRONG])
    assert figures["rubric/right"] == pytest.approx(1 / 3)
    assert figures["rubric/short"] == 0.5
    assert figures["success"] == pytest.approx(1 / 3)
    assert (figures["turns"], figures["tools/calls"], figures["tools/errors"]) == (2.0, 4.0, 2.0)
    assert (figures["seconds/agent"], figures["seconds/environment"]) == (3.0, 1.0)
    assert (figures["unscored"], figures["retried"]) == (1.0, 1.0)
    assert (figures["stop/max_turns"], figures["stop/failed"], figures["stop/answered"]) == (0.5, 0.25, 0.0)


def test_nothing_scored_gives_nan_and_no_fault():
    figures = episode_metrics([FAILED]) | completion_metrics([FAILED])
    assert math.isnan(figures["success"])
    assert math.isnan(figures["completions/clipped_ratio"])
    assert group_metrics([FAILED] * 4, 4) == {"groups/spread": 0.0, "groups/flat": 1.0}


def test_clipped_are_the_episodes_that_a_limit_ended():
    figures = completion_metrics([RIGHT, WRONG, FAILED, WRONG])
    assert figures["completions/clipped_ratio"] == pytest.approx(2 / 3)
    assert figures["completions/max_length"] == 8.0
    assert figures["completions/max_terminated_length"] == 4.0


def test_a_group_without_spread_or_with_one_scored_episode_is_flat():
    groups = [RIGHT, RIGHT, RIGHT, WRONG, RIGHT, FAILED]
    assert group_metrics(groups, 2) == {"groups/spread": pytest.approx(0.5 / 3), "groups/flat": pytest.approx(2 / 3)}
