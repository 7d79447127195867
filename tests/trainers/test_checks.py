import pytest

from envs import Task
from trainers.checks import check, correction_of


class Other(Task):
    """Another class of task."""


TASKS = [Task(id=str(index), prompt="…") for index in range(2)]


def test_what_can_work_passes(make_args):
    check(make_args(), TASKS)
    check(make_args(loss_type="vespo", vllm_importance_sampling_correction=False), TASKS)
    check(make_args(loss_type="vespo", vllm_importance_sampling_mode="token_mask"), TASKS)


def test_tasks_of_two_classes_are_refused(make_args):
    with pytest.raises(TypeError, match="Other, Task; an environment has one"):
        check(make_args(), [*TASKS, Other(id="x", prompt="…")])


def test_the_correction_is_read_off_the_configuration_and_can_be_switched_off(make_args):
    assert correction_of(make_args(vllm_importance_sampling_correction=False)) is None
    correction = correction_of(make_args(vllm_importance_sampling_clip_max=2.0))
    assert (correction.mode, correction.lowest, correction.highest) == ("sequence_mask", None, 2.0)


def test_no_tasks_are_an_error_in_words(make_trainer, tasks):
    tasks.clear()
    with pytest.raises(ValueError, match="no tasks"):
        make_trainer()
