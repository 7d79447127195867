"""A family: one kind of problem as data, with constants left open in its wordings and in its solution."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random
from string import Template
from textwrap import indent
from typing import Any

Constant = int | str

DIGITS = tuple(range(2, 10))
NUMBERS = tuple(range(2, 50))
LOW = tuple(range(2, 20))
HIGH = tuple(range(20, 60))
LETTERS = tuple("abcdeghiklmnoprstuw")
WORDS = (
    *("cat", "dog", "sun", "red", "box", "map", "cup", "key", "tea", "ice", "fox", "hat", "bag", "car", "egg", "pen"),
    *("sea", "day", "owl", "bee", "log", "net", "oak", "pie", "rib", "sky", "toe", "van", "web", "zoo", "jam", "leg"),
)

MAX_COMBINATIONS = 200
"""Combinations of constants that one family contributes at most: more would crowd out the families with few."""


@dataclass(frozen=True)
class Family:
    """One kind of problem. `$a`, `$b`, `$c` stand for its constants, in the order in which the prompt names them.

    Prompt and solution write a constant alike, as Python's `repr`.
    """

    name: str
    """Unique among all families."""
    parameters: str
    """The function's parameters as written: `x` and `n` are integers, `xs` a list of integers, `s` a string, `d` a
    dict from strings to integers."""
    body: str
    """The expression to return, or whole lines that end in a return."""
    wordings: tuple[str, ...]
    """What to return, in words."""
    domains: tuple[Sequence[Constant], ...]
    """The values of `$a`, `$b`, `$c`; two constants of one task always differ."""
    nonempty: bool = False
    """No input is an empty list, string or dict."""
    symmetric: bool = False
    """The order of the constants makes no difference to what the function returns."""

    @cached_property
    def combinations(self) -> tuple[tuple[Constant, ...], ...]:
        """The constants of each problem, at most `MAX_COMBINATIONS` of them, always in the same order."""
        every = [values for values in product(*self.domains) if len(set(values)) == len(values)]
        return tuple(Random(self.name).sample(every, min(len(every), MAX_COMBINATIONS)))

    def prompt(self, constants: Sequence[Constant], wording: int) -> str:
        """Return the problem in words."""
        return f"Write f({self.parameters}): {_fill(self.wordings[wording], map(repr, constants))}."

    def solution(self, constants: Sequence[Constant]) -> str:
        """Return the source of the reference solution."""
        return self._source(map(repr, constants))

    def function(self, constants: Sequence[Constant]) -> Callable[..., Any]:
        """Return the reference solution as a function of ours, for the expected values."""
        function: Callable[..., Any] = self._maker(*constants)
        return function

    @cached_property
    def _maker(self) -> Callable[..., Any]:
        names = "abc"[: len(self.domains)]
        source = f"def make({', '.join(names)}):\n{indent(self._source(names), '    ')}\n    return f"
        scope: dict[str, Any] = {}
        exec(source, scope)  # our own templates only, compiled once a family instead of once a task
        maker: Callable[..., Any] = scope["make"]
        return maker

    def _source(self, constants: Any) -> str:
        body = self.body if "return " in self.body else f"return {self.body}"
        return f"def f({self.parameters}):\n{indent(_fill(body, constants), '    ')}"


def _fill(text: str, constants: Any) -> str:
    values: Mapping[str, str] = dict(zip("abc", constants, strict=False))
    return Template(text).substitute(values)
