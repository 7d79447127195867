import re

import pytest

from envs.calculator.arithmetic import evaluate
from envs.calculator.problems import CalculatorTask, problems, split_of
from envs.calculator.wordings import PLAIN, STORIES, Pattern

TRAIN, TEST = problems("train", 4096), problems("test", 512)


def solution(expression: str) -> tuple[str, tuple[str, ...]]:
    """The solution's template and its constants, whose order does not count."""
    return re.sub(r"\d+", "n", expression), tuple(sorted(re.findall(r"\d+", expression)))


def test_no_held_out_wording_occurs_in_training() -> None:
    assert {task.prompt for task in TRAIN}.isdisjoint(task.prompt for task in TEST)


def test_no_held_out_solution_occurs_in_training_not_even_with_its_numbers_swapped() -> None:
    assert {task.expression for task in TRAIN}.isdisjoint(task.expression for task in TEST)
    assert {solution(task.expression) for task in TRAIN}.isdisjoint(solution(task.expression) for task in TEST)


def test_the_split_depends_on_the_constants_alone() -> None:
    assert split_of("47 + 38") == split_of("38 - 47")
    assert {split_of(task.expression) for task in TRAIN} == {"train"}
    assert {split_of(task.expression) for task in TEST} == {"test"}


def test_a_larger_split_begins_with_the_smaller_one() -> None:
    assert problems("train", 10) == TRAIN[:10]
    assert problems("test", 600)[:512] == TEST


def test_the_first_problems_are_the_same_in_every_process() -> None:
    assert TRAIN[0].prompt == "Leo has 28 boxes of 99 books and 86 more. How many books is that?"
    assert TRAIN[1].model_dump() == {
        "id": "calculator-train-1",
        "prompt": "Divide the sum of 68 and 27 by 39.",
        "answer": "95/39",
        "expression": "(68 + 27) / 39",
    }


@pytest.mark.parametrize("tasks", [TRAIN, TEST], ids=["train", "test"])
def test_prompts_and_ids_occur_once(tasks: tuple[CalculatorTask, ...]) -> None:
    assert len({task.prompt for task in tasks}) == len({task.id for task in tasks}) == len(tasks)


def test_every_answer_is_the_exact_value_in_lowest_terms_and_short() -> None:
    for task in TRAIN + TEST:
        assert task.answer == str(evaluate(task.expression))
        assert len(task.answer.lstrip("-").partition("/")[0]) <= 6


def test_numbers_stand_in_the_expression_in_the_order_of_the_prompt() -> None:
    for task in TRAIN:
        assert re.findall(r"\d{2,}", task.expression) == re.findall(r"\d{2,}", task.prompt)


def test_no_prompt_holds_its_answer() -> None:
    held = [task for task in TRAIN + TEST if task.answer in re.findall(r"-?\d+", task.prompt)]
    assert len(held) < 0.01 * len(TRAIN + TEST)


@pytest.mark.parametrize("pattern", PLAIN + STORIES, ids=lambda pattern: pattern.wording)
def test_every_wording_occurs_often_and_no_story_has_a_negative_value(pattern: Pattern) -> None:
    shape = re.compile(re.sub(r"\\{\w+\\}", r"\\w+", re.escape(pattern.wording)))
    answers = [task.answer for task in TRAIN if shape.fullmatch(task.prompt)]
    assert len(answers) > 40
    assert pattern in PLAIN or not any(answer.startswith("-") for answer in answers)
