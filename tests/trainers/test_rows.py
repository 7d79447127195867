import json
from dataclasses import replace

import pytest

from envs import Message, Task
from rollout.trajectory import StopReason, Trajectory, Turn
from trainers.rows import dataset_of, row_of

TASKS = [Task(id="a", prompt="one"), Task(id="b", prompt="two")]


def turn(prompt_ids, completion_ids):
    logprobs = (-0.5,) * len(completion_ids)
    return Turn(Message.assistant("…"), (), prompt_ids, completion_ids, logprobs)


PLAYED = Trajectory(
    env="e-v0",
    task_id="a",
    task={},
    sample=3,
    seed=0,
    opening=(),
    turns=(turn((1, 2), (3,)), turn((1, 2, 3, 4), (5, 6))),
    stop=StopReason.ANSWERED,
    reward=1.0,
)


def test_a_row_holds_the_prompt_and_the_whole_task():
    assert [row["prompt"] for row in dataset_of(TASKS)] == ["one", "two"]
    assert [json.loads(row["task"]) for row in dataset_of(TASKS)] == [task.model_dump() for task in TASKS]


def test_no_tasks_and_tasks_of_one_name_are_errors():
    with pytest.raises(ValueError, match="no tasks"):
        dataset_of([])
    with pytest.raises(ValueError, match="'a' occurs 2 times"):
        dataset_of([TASKS[0], TASKS[0]])


def test_a_trajectory_becomes_one_row_of_tokens():
    row = row_of(PLAYED, blank_id=0, max_tokens=4)
    assert (row.prompt_ids, row.completion_ids, row.env_mask) == ((1, 2), (3, 4, 5, 6), (1, 0, 1, 1))


@pytest.mark.parametrize("changes", [{"reward": None}, {"turns": ()}], ids=["unscored", "ended before a token"])
def test_where_there_is_nothing_to_learn_the_row_is_a_blank_that_is_not_empty(changes):
    row = row_of(replace(PLAYED, **changes), blank_id=9, max_tokens=4)
    assert (row.prompt_ids, row.completion_ids, row.env_mask) == ((9,), (9,), (0,))


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ((turn((), ()),), "no token ids"),
        ((turn((1, 2), (3,)), turn((1, 9), (5,))), "fork into 2 samples"),
        ((turn((1, 2), (3, 4, 5, 6, 7)),), "5 tokens after the prompt, but max_completion_length=4"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_task_and_sample(turns, words):
    with pytest.raises(ValueError, match=f"task 'a', sample 3: .*{words}"):
        row_of(replace(PLAYED, turns=turns), blank_id=0, max_tokens=4)
