import io

import pytest
from rich.console import Console

from envs import Message, ToolCall
from rollout.trajectory import StopReason, Trajectory, Turn
from trainers.report import Evaluation, show_figures, show_one_episode, telling_pair, verdict_words


def episode(task_id, reward, text="answer"):
    action = Message.assistant(text, ToolCall(name="f"))
    return Trajectory(
        env="calculator-v0", task_id=task_id, task={}, sample=0, seed=0, opening=(Message.user(f"task {task_id}"),),
        turns=(Turn(action, (), tool_errors=("unknown_tool",)),), stop=StopReason.ANSWERED, reward=reward,
        scores={} if reward is None else {"correct": reward}, success=reward == 1,
        error="SandboxError: x" if reward is None else None,
    )  # fmt: skip


BEFORE = Evaluation([episode("a", 0.0), episode("b", 1.0)], [episode("a", 0.0, "wrong"), episode("b", None)])
AFTER = Evaluation([episode("a", 1.0), episode("b", 1.0)], [episode("a", 1.0, "right"), episode("b", 1.0)])


def shown(show, *args, width=120):
    console = Console(file=io.StringIO(), width=width)
    show(console, *args)
    return console.file.getvalue()


def figure(success, low, high, n=256):
    return {"sampled": {"success": success, "ci95": [low, high], "n": n}}


def test_figures_leave_unscored_episodes_out():
    assert BEFORE.figures()["greedy"]["success"] == 0.5
    assert BEFORE.figures()["sampled"]["n"] == 1
    assert BEFORE.means()["correct"] == 0.0
    assert Evaluation([], []).means()["reward"] == 0.0


def test_before_and_after_stand_side_by_side_with_their_intervals():
    text = shown(show_figures, BEFORE, AFTER)
    line = next(line for line in text.splitlines() if "success, greedy" in line)
    assert "0.50  (0.09-0.91)" in line
    assert "1.00  (0.34-1.00)" in line
    assert "correct" in text


def test_the_figures_before_can_stand_alone():
    text = shown(show_figures, BEFORE)
    assert "before" in text
    assert "after" not in text


def test_no_scored_episode_is_said_rather_than_shown_as_zero():
    nothing = Evaluation([episode("a", None)], [episode("a", None)])
    assert "none scored" in shown(show_figures, nothing)


@pytest.mark.parametrize("width", [80, 120])
def test_one_task_is_shown_as_it_was_played_before_and_after(width):
    text = shown(show_one_episode, BEFORE, AFTER, width=width)
    assert "wrong" in text
    assert "right" in text
    assert "task a" in text


def test_episodes_without_a_common_task_show_nothing():
    assert telling_pair([episode("a", None)], [episode("a", 1.0)]) is None
    assert shown(show_one_episode, Evaluation([], []), AFTER) == ""


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            figure(0.3, 0.25, 0.35),
            figure(0.8, 0.75, 0.85),
            "it learned: sampled success on held-out tasks went from 0.30",
        ),
        (figure(0.8, 0.75, 0.85), figure(0.3, 0.25, 0.35), "it got worse"),
        (figure(0.3, 0.25, 0.35), figure(0.33, 0.28, 0.38), "no certain change"),
        (figure(0.0, 0.0, 1.0, n=0), figure(0.3, 0.25, 0.35), "no held-out episode was scored"),
    ],
)
def test_what_was_learned_is_judged_by_the_intervals(before, after, words):
    assert verdict_words(before, after).startswith(words)
