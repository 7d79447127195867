"""The tasks: every family with its constants, in words, with hidden tests; train and test apart by solution.

A solution (template and constants together) belongs to one split by the hash of its source, and every wording of it
goes the same way. Where the order of the constants makes no difference, a solution that another order of them puts into
training is not tested either. Nothing depends on how many tasks are asked for: a smaller split is the beginning of a
larger one.
"""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from hashlib import blake2b
from itertools import permutations, zip_longest
from random import Random
from typing import Any

from envs.base import Split
from envs.code_exec.dicts import DICTS
from envs.code_exec.family import DIGITS, LETTERS, WORDS, Constant, Family
from envs.code_exec.grading import Case
from envs.code_exec.inputs import draw, edges
from envs.code_exec.integers import INTEGERS
from envs.code_exec.lists import LISTS
from envs.code_exec.strings import STRINGS
from envs.tasks import Task
from sandboxes import UsageError

Problem = tuple[Family, tuple[Constant, ...], int]
"""A family, its constants, and the index of the wording."""

FAMILIES: tuple[Family, ...] = tuple(
    family for row in zip_longest(INTEGERS, LISTS, STRINGS, DICTS) for family in row if family is not None
)
"""All families, the kinds in turn."""

TEST_SHARE = 8
"""One solution in this many is held out."""
_CANDIDATES = 3
"""Inputs drawn for each hidden test that is kept."""


class CodeTask(Task):
    """One function to write."""

    family: str
    """Name of its family."""
    parameters: str
    """The function's parameters, as written."""
    solution: str
    """Source of the reference solution."""
    tests: tuple[Case, ...]
    """The hidden tests."""


@lru_cache(maxsize=8)
def code_tasks(split: Split, count: int, tests: int) -> tuple[CodeTask, ...]:
    """Return the first `count` tasks of a split with `tests` hidden tests each, the families in turn.

    Raises:
        UsageError: there are not so many.
    """
    known = problems(split)
    if count > len(known):
        raise UsageError(f"env.{split}_tasks={count}: there are {len(known)}")
    return tuple(_task(*problem, tests) for problem in known[:count])


@cache
def problems(split: Split) -> tuple[Problem, ...]:
    """Return family, constants and index of the wording of every problem of a split, the families in turn."""
    rows = zip_longest(*(_of_family(family, split) for family in FAMILIES))
    return tuple(problem for row in rows for problem in row if problem is not None)


def _of_family(family: Family, split: Split) -> Iterator[Problem]:
    belongs = _is_held_out if split == "test" else _is_trained
    chosen = [values for values in family.combinations if belongs(family, values)]
    for turn in range(len(family.wordings)):
        for index, constants in enumerate(chosen):
            yield family, constants, (index + turn) % len(family.wordings)


def _is_trained(family: Family, constants: tuple[Constant, ...]) -> bool:
    return blake2b(family.solution(constants).encode()).digest()[0] % TEST_SHARE != 0


def _is_held_out(family: Family, constants: tuple[Constant, ...]) -> bool:
    orders = permutations(constants) if family.symmetric else (constants,)
    return not any(_is_trained(family, order) for order in orders)


def _task(family: Family, constants: tuple[Constant, ...], wording: int, tests: int) -> CodeTask:
    id = "-".join((family.name, *map(str, constants), str(wording)))
    return CodeTask(
        id=id,
        prompt=family.prompt(constants, wording),
        family=family.name,
        parameters=family.parameters,
        solution=family.solution(constants),
        tests=_hidden_tests(family, constants, tests, Random(id)),
    )


def _hidden_tests(family: Family, constants: tuple[Constant, ...], count: int, rng: Random) -> tuple[Case, ...]:
    """Choose inputs on which nearby constants give another result, then inputs of as many results as possible."""
    drawn = [draw(family.parameters, constants, rng, nonempty=family.nonempty) for _ in range(count * _CANDIDATES)]
    candidates = drawn + edges(family.parameters, constants)
    inputs = list({repr(args): args for args in candidates}.values())
    function = family.function(constants)
    expected = [function(*args) for args in inputs]
    first = _telling(family, constants, inputs, expected)
    order = dict.fromkeys(first[:count] + _by_turns(expected))
    return tuple(Case(inputs=inputs[index], expected=expected[index]) for index in list(order)[:count])


def _telling(
    family: Family, constants: tuple[Constant, ...], inputs: Sequence[list[Any]], expected: Sequence[Any]
) -> list[int]:
    """Return indices of inputs such that each neighbour of the problem fails on one of them, where one does."""
    chosen: list[int] = []
    for other in map(family.function, _neighbours(constants)):
        failing = [index for index, args in enumerate(inputs) if other(*args) != expected[index]]
        if failing and not set(failing) & set(chosen):
            chosen.append(failing[0])
    return chosen


def _neighbours(constants: tuple[Constant, ...]) -> Iterator[tuple[Constant, ...]]:
    """Yield the constants with one of them changed a little, to a value that families of its kind allow."""
    for index, value in enumerate(constants):
        for near in _near(value):
            yield (*constants[:index], near, *constants[index + 1 :])


def _near(value: Constant) -> Sequence[Constant]:
    if isinstance(value, int):
        return [near for near in (value - 1, value + 1) if near >= DIGITS[0]]
    return [near for near in (LETTERS if len(value) == 1 else WORDS)[:3] if near != value]


def _by_turns(expected: Sequence[Any]) -> list[int]:
    """Return all indices such that different results come in turn: no constant answer passes many tests."""
    groups: dict[str, list[int]] = {}
    for index, value in enumerate(expected):
        groups.setdefault(repr(value), []).append(index)
    return [index for row in zip_longest(*groups.values()) for index in row if index is not None]
