"""Drawing inputs that tell solutions apart: random values, crowded around the constants of the problem."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from envs.code_exec.family import WORDS, Constant

V = TypeVar("V")

_JOINTS = (" ", " ", "")
_OFFSETS = (-1, 0, 0, 1)


def draw(parameters: str, constants: Sequence[Constant], rng: Random, *, nonempty: bool = False) -> list[Any]:
    """Return one argument for each of the parameters, JSON data. `nonempty` leaves out empty lists, strings, dicts."""
    least = 1 if nonempty else 0
    return [_KINDS[name](rng, constants, least) for name in parameters.split(", ")]


def edges(parameters: str, constants: Sequence[Constant]) -> list[list[Any]]:
    """Return the inputs at which a condition on a single integer changes, for functions of one integer."""
    if parameters != "x":
        return []
    return [[value] for number in _numbers(constants) for value in (number - 1, number, number + 1, 3 * number)]


def _integer(rng: Random, constants: Sequence[Constant], _: int = 0) -> int:
    numbers = _numbers(constants)
    if not numbers or rng.random() < 0.4:
        return _between(rng, -20, 80)
    return _pick(rng, numbers) * _pick(rng, (1, 1, 1, 2, numbers[-1])) + _pick(rng, _OFFSETS)


def _position(rng: Random, constants: Sequence[Constant], _: int) -> int:
    return _between(rng, 0, 9)


def _integers(rng: Random, constants: Sequence[Constant], least: int) -> list[int]:
    roll, numbers = rng.random(), _numbers(constants)
    if roll < 0.2 and numbers:  # all from a constant on, and perhaps one just below: for "all" and "any"
        return [numbers[0] + _between(rng, 0, 9) for _ in range(3)] + [numbers[0] + _pick(rng, _OFFSETS)]
    drawn = [_integer(rng, constants) for _ in range(_between(rng, least, 9))]
    return drawn if roll < 0.8 else numbers + drawn


def _word(rng: Random, constants: Sequence[Constant]) -> str:
    texts = [value for value in constants if isinstance(value, str)]
    return _pick(rng, texts) if texts and rng.random() < 0.4 else _pick(rng, WORDS)


def _string(rng: Random, constants: Sequence[Constant], least: int) -> str:
    words = [_word(rng, constants) for _ in range(_between(rng, least, 5))]
    text = _pick(rng, _JOINTS).join(words)
    return text.capitalize() if rng.random() < 0.15 else text


def _dict(rng: Random, constants: Sequence[Constant], least: int) -> dict[str, int]:
    drawn = {_word(rng, constants): _integer(rng, constants) for _ in range(_between(rng, least, 6))}
    numbers, keys = _numbers(constants), [value for value in constants if isinstance(value, str)]
    if numbers and rng.random() < 0.4:
        drawn |= dict.fromkeys(keys, _pick(rng, numbers))
    return drawn


def _numbers(constants: Sequence[Constant]) -> list[int]:
    return [value for value in constants if isinstance(value, int)]


def _between(rng: Random, low: int, high: int) -> int:
    """Return an integer from `low` to `high`: three times as fast as `randint`, and thousands of tasks need it."""
    return low + int(rng.random() * (high - low + 1))


def _pick(rng: Random, values: Sequence[V]) -> V:
    return values[int(rng.random() * len(values))]


_KINDS: Mapping[str, Callable[[Random, Sequence[Constant], int], Any]] = {
    "x": _integer,
    "n": _position,
    "xs": _integers,
    "s": _string,
    "d": _dict,
}
