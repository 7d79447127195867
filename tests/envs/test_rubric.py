import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import Episode, Message, Rubric, RubricError, Task, ToolCall

TASK = Task(id="1", prompt="?")
EPISODE = Episode(TASK, (Message.user("?"), Message.assistant("57")))


def fixed(score: float):  # type: ignore[no-untyped-def]  # a criterion that always gives this score
    return lambda episode: score


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0, 1)), min_size=1, max_size=6))
def test_the_reward_is_the_weighted_sum_of_the_scores(criteria: list[tuple[float, float]]) -> None:
    rubric = Rubric[Task]({str(index): (weight, fixed(score)) for index, (weight, score) in enumerate(criteria)})
    verdict = rubric.verdict(EPISODE)
    assert verdict.reward == math.fsum(weight * score for weight, score in criteria)
    assert list(verdict.scores.values()) == [score for _, score in criteria]


@pytest.mark.parametrize(
    ("criteria", "success"),
    [
        ({"a": (1.0, fixed(1))}, True),
        ({"a": (1.0, fixed(0.999))}, False),
        ({"a": (1.0, fixed(1)), "recorded": (0.0, fixed(0))}, True),
        ({"a": (1.0, fixed(1)), "penalty": (-1.0, fixed(1))}, True),
        ({"a": (1.0, fixed(1)), "b": (0.1, fixed(0))}, False),
    ],
)
def test_success_is_every_criterion_of_positive_weight_at_1(criteria, success: bool) -> None:  # type: ignore[no-untyped-def]
    assert Rubric[Task](criteria).verdict(EPISODE).success is success


def test_a_criterion_sees_task_answer_limit_and_facts() -> None:
    episode = Episode(TASK, EPISODE.messages, truncated=True, facts={"passed": 3})
    seen = Rubric[Task](
        {
            "task": (1.0, lambda e: e.task is TASK),
            "answer": (1.0, lambda e: e.answer == "57"),
            "limit": (1.0, lambda e: e.truncated),
            "facts": (1.0, lambda e: e.facts["passed"] == 3),
        }
    )
    assert seen.verdict(episode).reward == 4.0


def test_the_answer_is_the_last_assistant_text_or_empty() -> None:
    call = ToolCall(name="look")
    conversation = (Message.user("?"), Message.assistant("first", call), Message.tool("seen", call))
    assert Episode(TASK, conversation).answer == "first"
    assert Episode(TASK, conversation[:1]).answer == ""


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf, "much", None])
def test_a_score_outside_0_and_1_is_our_fault_and_named(score: float) -> None:
    with pytest.raises(RubricError, match="'odd'"):
        Rubric[Task]({"odd": (1.0, fixed(score))}).verdict(EPISODE)


def test_a_criterion_that_raises_is_our_fault_and_keeps_its_cause() -> None:
    with pytest.raises(RubricError, match=r"criterion 'share' raised ZeroDivisionError") as caught:
        Rubric[Task]({"share": (1.0, lambda e: 1 / 0)}).verdict(EPISODE)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_rubric_needs_criteria_with_finite_weights() -> None:
    with pytest.raises(ValueError, match="at least one criterion"):
        Rubric[Task]({})
    with pytest.raises(ValueError, match="'a': weight nan"):
        Rubric[Task]({"a": (math.nan, fixed(1))})
