"""The problems: wordings with numbers put in, split into training and test.

A problem falls to the test split by its constants alone, whatever its wording and the order of its numbers. So no
expression of one split occurs in the other, at any size. The first n tasks are the same for every size, and each
prompt occurs once.
"""

import functools
import random
import re
import zlib

from envs.base import Split
from envs.calculator.arithmetic import evaluate
from envs.calculator.wordings import PLAIN, STORIES, Pattern
from envs.tasks import Task

_NAMES = ("Tom", "Mia", "Ben", "Ana", "Leo", "Zoe", "Sam", "Eva")
_THINGS = ("apples", "coins", "books", "cards", "stones", "pens", "shells", "eggs")
_PATTERNS = PLAIN + STORIES
_RANGES = {
    **dict.fromkeys("abc", ((12, 99), (100, 999))),
    **dict.fromkeys("xyzv", ((12, 99),)),
    "w": ((1000, 9999),),
}


class CalculatorTask(Task):
    """An arithmetic problem."""

    answer: str
    """The exact value: an integer such as "57", or a fraction in lowest terms such as "7/3"."""
    expression: str
    """What to calculate, numbers in the order of the prompt."""


@functools.lru_cache(maxsize=8)
def problems(split: Split, count: int) -> tuple[CalculatorTask, ...]:
    """Return the first `count` problems of a split, always the same ones."""
    rng = random.Random(f"calculator {split}")
    found: dict[str, CalculatorTask] = {}
    while len(found) < count:
        pattern = rng.choice(_PATTERNS)
        words = {"name": rng.choice(_NAMES), "thing": rng.choice(_THINGS)}
        numbers = _draw(pattern, rng)
        expression = pattern.expression.format(**numbers)
        prompt = pattern.wording.format(**words, **numbers)
        if split_of(expression) != split or prompt in found:
            continue
        value = evaluate(expression)
        if pattern in STORIES and value < 0:
            continue
        id = f"calculator-{split}-{len(found)}"
        found[prompt] = CalculatorTask(id=id, prompt=prompt, answer=str(value), expression=expression)
    return tuple(found.values())


def split_of(expression: str) -> Split:
    """Return the split to which the constants of an expression fall: one set of constants in eight is held out."""
    constants = " ".join(sorted(re.findall(r"\d+", expression)))
    return "test" if zlib.crc32(constants.encode()) % 8 == 0 else "train"


def _draw(pattern: Pattern, rng: random.Random) -> dict[str, int]:
    slots = re.findall(r"{(\w)}", pattern.wording)
    numbers = {slot: rng.randint(*rng.choice(_RANGES[slot])) for slot in slots if slot != "m"}
    if "m" in slots:
        numbers["m"] = numbers["x"] * rng.randint(12, 99)
    return numbers
