"""Drawing inputs that tell solutions apart: random values, crowded around the constants of the problem."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from envs.code_exec.family import WORDS, Constant

_JOINTS = (" ", " ", "")
_OFFSETS = (-1, 0, 0, 1)


def draw(parameters: str, constants: Sequence[Constant], rng: Random, *, nonempty: bool = False) -> list[Any]:
    """Return one argument for each of the parameters, JSON data. `nonempty` leaves out empty lists, strings, dicts."""
    least = 1 if nonempty else 0
    return [_KINDS[name](rng, constants, least) for name in parameters.split(", ")]


def _integer(rng: Random, constants: Sequence[Constant], _: int = 0) -> int:
    numbers = [value for value in constants if isinstance(value, int)]
    if not numbers or rng.random() < 0.5:
        return rng.randint(-20, 80)
    return rng.choice(numbers) * rng.choice((1, 1, 1, 2, numbers[-1])) + rng.choice(_OFFSETS)


def _position(rng: Random, constants: Sequence[Constant], _: int) -> int:
    return rng.randint(0, 9)


def _integers(rng: Random, constants: Sequence[Constant], least: int) -> list[int]:
    return [_integer(rng, constants) for _ in range(rng.randint(least, 9))]


def _word(rng: Random, constants: Sequence[Constant]) -> str:
    texts = [value for value in constants if isinstance(value, str)]
    return rng.choice(texts) if texts and rng.random() < 0.4 else rng.choice(WORDS)


def _string(rng: Random, constants: Sequence[Constant], least: int) -> str:
    words = [_word(rng, constants) for _ in range(rng.randint(least, 5))]
    text = rng.choice(_JOINTS).join(words)
    return text.capitalize() if rng.random() < 0.15 else text


def _dict(rng: Random, constants: Sequence[Constant], least: int) -> dict[str, int]:
    return {_word(rng, constants): _integer(rng, constants) for _ in range(rng.randint(least, 6))}


_KINDS: Mapping[str, Callable[[Random, Sequence[Constant], int], Any]] = {
    "x": _integer,
    "n": _position,
    "xs": _integers,
    "s": _string,
    "d": _dict,
}
