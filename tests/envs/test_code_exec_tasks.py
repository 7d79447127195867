"""The tasks of `code_exec`: how many, how far train and test are apart, and what their hidden tests tell apart."""

import re
from collections import Counter
from itertools import permutations
from random import Random

import pytest

from envs.code_exec.env import CodeExecConfig, CodeExecEnv
from envs.code_exec.grading import same
from envs.code_exec.inputs import draw
from envs.code_exec.tasks import FAMILIES, CodeTask, code_tasks, problems
from sandboxes import UsageError

DEFAULTS = CodeExecConfig()


def prompts_and_solutions(split):
    found = problems(split)
    return [f.prompt(values, wording) for f, values, wording in found], {f.solution(values) for f, values, _ in found}


def test_there_are_at_least_sixty_families_over_integers_lists_strings_and_dicts():
    kinds = Counter(family.parameters.split(",")[0] for family in FAMILIES)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES) >= 60
    assert set(kinds) == {"x", "xs", "s", "d"}
    assert min(kinds.values()) >= 15


def test_neither_prompt_nor_solution_of_a_test_task_occurs_in_training():
    train_prompts, train_solutions = prompts_and_solutions("train")
    test_prompts, test_solutions = prompts_and_solutions("test")
    assert not set(train_prompts) & set(test_prompts)
    assert not train_solutions & test_solutions


def test_no_test_task_is_a_training_task_with_its_constants_in_another_order():
    trained = {(family.name, values) for family, values, _ in problems("train")}
    for family, values, _ in problems("test"):
        twins = [twin for twin in permutations(values) if twin != values and (family.name, twin) in trained]
        inputs = [draw(family.parameters, values, Random(n), nonempty=family.nonempty) for n in range(24)]
        for twin in map(family.function, twins):
            assert any(twin(*args) != family.function(values)(*args) for args in inputs), (family.name, values)


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_task_comes_twice(split):
    prompts, _ = prompts_and_solutions(split)
    assert len(set(prompts)) == len(prompts)
    tasks = CodeExecEnv.tasks(DEFAULTS, split)
    assert len({task.id for task in tasks}) == len(tasks)


def test_no_two_families_share_a_solution():
    solutions = Counter(family.solution(values) for family in FAMILIES for values in family.combinations)
    assert max(solutions.values()) == 1


def test_the_default_splits_are_large_and_the_held_out_one_spans_the_families():
    train, test = CodeExecEnv.tasks(DEFAULTS, "train"), CodeExecEnv.tasks(DEFAULTS, "test")
    assert (len(train), len(test)) == (4096, 512)
    assert len({task.family for task in test[:256]}) >= 80
    assert {task.family for task in test} <= {task.family for task in train} == {family.name for family in FAMILIES}


def test_a_smaller_split_is_the_beginning_of_a_larger_one():
    assert code_tasks("test", 40, 8) == code_tasks("test", 90, 8)[:40]


def test_more_tasks_than_there_are_is_a_usage_error_that_says_how_many_there_are():
    available = len(problems("test"))
    with pytest.raises(UsageError, match=rf"env.test_tasks={available + 1}: there are {available}"):
        CodeExecEnv.tasks(CodeExecConfig(test_tasks=available + 1), "test")


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_help_text_tells_the_true_number_of_tasks(split):
    text = CodeExecConfig.model_fields[f"{split}_tasks"].description
    assert text is not None
    assert f"{len(problems(split)):,}" in text


def test_prompts_are_short_for_a_tokenizer_that_splits_digits():
    longest = max(prompts_and_solutions("train")[0], key=lambda prompt: len(tokens(prompt)))
    assert len(tokens(longest)) <= 35, longest


def tokens(text):
    return re.findall(r"[A-Za-z]+|\d|[^\w\s]+", text)


def test_constants_stand_in_the_prompt_in_the_order_and_the_form_of_the_solution():
    for family in FAMILIES:
        for template in (family.body, *family.wordings):
            used = re.findall(r"\$[abc]", template)
            assert used == [f"${letter}" for letter in "abc"[: len(family.domains)]], family.name
        values = family.combinations[0]
        assert all(repr(value) in family.prompt(values, 0) for value in values)


def test_the_expected_values_are_those_of_the_reference_solution():
    for task in CodeExecEnv.tasks(DEFAULTS, "test"):
        scope = {}
        exec(task.solution, scope)
        assert all(same(scope["f"](*case.inputs), case.expected) for case in task.tests), task.id


def test_every_task_has_the_hidden_tests_asked_for_and_no_input_twice():
    for task in (*CodeExecEnv.tasks(DEFAULTS, "test"), *code_tasks("train", 100, 32)):
        assert len({repr(case.inputs) for case in task.tests}) == len(task.tests)
    assert {len(task.tests) for task in CodeExecEnv.tasks(DEFAULTS, "test")} == {8}
    assert {len(task.tests) for task in code_tasks("train", 100, 32)} == {32}


def test_a_task_survives_json():
    for task in code_tasks("test", 90, 8):
        assert CodeTask.model_validate_json(task.model_dump_json()) == task


def passes(function, task):
    return all(same(function(*case.inputs), case.expected) for case in task.tests)


def test_a_solution_with_other_constants_fails_nearly_every_time():
    tried, passed = 0, []
    for task, (family, values, _) in zip(CodeExecEnv.tasks(DEFAULTS, "test"), problems("test"), strict=False):
        for other in Random(task.id).sample(family.combinations, 8):
            tried += other != values
            passed += [task.id] if other != values and passes(family.function(other), task) else []
    assert tried > 3500
    assert len(passed) <= 0.005 * tried, Counter(passed)


def test_no_constant_answer_passes_and_hardly_any_passes_most_hidden_tests():
    shares = []
    for task in CodeExecEnv.tasks(DEFAULTS, "test"):
        counts = [sum(same(case.expected, other.expected) for other in task.tests) for case in task.tests]
        shares.append(max(counts) / len(counts))
    assert max(shares) < 1
    assert sum(share > 0.75 for share in shares) <= 0.03 * len(shares)


def test_a_nonempty_draw_is_never_empty():
    rng = Random(0)
    assert all(draw("xs", (3,), rng, nonempty=True)[0] for _ in range(200))
    assert any(not draw("xs", (3,), rng)[0] for _ in range(200))
