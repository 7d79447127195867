"""Exact arithmetic on text: integers, decimals and fractions, with Python's operators and their precedence.

A parser of its own rather than Python's: nothing is ever evaluated as code, a decimal keeps its exact value, and no
text that a policy can write costs more than milliseconds, warns, or raises anything but `ToolError`.
"""

import operator
import re
from collections.abc import Callable
from fractions import Fraction

from envs.tools import ToolError

MAX_CHARACTERS = 1_000
"""Length of an expression."""
MAX_DIGITS = 1_000
"""Decimal digits of a numerator or denominator, of intermediate results too."""
MAX_DEPTH = 50
"""Parentheses, signs and powers inside one another."""

_TOKEN = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]*)?|\.[0-9]+)|([^\W\d]\w*)|(\*\*|//|[-+*/%()])|(\S))")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+|/[0-9]+)?")
_TOO_LARGE = 10**MAX_DIGITS
_END = ""


def evaluate(text: str) -> Fraction:
    """Return the exact value of an expression: `+ - * / // % **`, signs, parentheses, integers and decimals.

    Raises:
        ToolError: the text is no such expression, divides by zero, or passes one of the bounds above.
    """
    if len(text) > MAX_CHARACTERS:
        raise ToolError(f"the expression has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    return _Parser(_tokens(text)).value()


def read_number(text: str) -> Fraction | None:
    """Return the value of text that is one number alone, as "57", " -57.0 " or "7/3"; None for other text."""
    bare = text.strip()
    if len(bare) > 2 * MAX_DIGITS or not _NUMBER.fullmatch(bare) or re.search("/0+$", bare):
        return None
    return Fraction(bare)


def _tokens(text: str) -> list[str]:
    tokens = []
    for number, name, symbol, other in _TOKEN.findall(text):
        if name:
            raise ToolError(f"unknown name {name[:30]!r}: an expression holds numbers and operators only")
        if other:
            raise ToolError(f"unexpected {other!r}; the operators are + - * / // % ** and parentheses")
        tokens.append(number or symbol)
    return tokens


class _Parser:
    """Recursive descent over tokens, computing as it reads; one use."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [*tokens, _END]
        self._at = 0
        self._depth = 0

    def value(self) -> Fraction:
        if self._next == _END:
            raise ToolError("the expression is empty")
        value = self._sum()
        if self._next != _END:
            raise self._unexpected()
        return value

    @property
    def _next(self) -> str:
        return self._tokens[self._at]

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _sum(self) -> Fraction:
        value = self._product()
        while self._next in ("+", "-"):
            value = _combine(value, self._take(), self._product())
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while self._next in ("*", "/", "//", "%"):
            value = _combine(value, self._take(), self._signed())
        return value

    def _signed(self) -> Fraction:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ToolError(f"the expression is nested more than {MAX_DEPTH} deep")
        if self._next in ("+", "-"):
            value = -self._signed() if self._take() == "-" else self._signed()
        else:
            value = self._power()
        self._depth -= 1
        return value

    def _power(self) -> Fraction:
        value = self._atom()
        if self._next != "**":
            return value
        return _combine(value, self._take(), self._signed())

    def _atom(self) -> Fraction:
        if self._next == "(":
            self._take()
            value = self._sum()
            if self._next != ")":
                raise self._unexpected("')'")
            self._take()
            return value
        if not self._next[:1].isdigit() and not self._next.startswith("."):
            raise self._unexpected("a number")
        return Fraction(self._take())

    def _unexpected(self, wanted: str = "an operator") -> ToolError:
        before = " ".join(self._tokens[max(0, self._at - 3) : self._at])
        where = f" after '{before[-60:]}'" if before else ""
        found = "the expression ends" if self._next == _END else f"unexpected {self._next[:30]!r}"
        return ToolError(f"{found}{where}, where {wanted} is needed")


def _combine(left: Fraction, symbol: str, right: Fraction) -> Fraction:
    if symbol == "**":
        _check_power(left, right)
    elif right == 0 and symbol in ("/", "//", "%"):
        raise ToolError(f"{_brief(left)} {symbol} 0: division by zero")
    value = Fraction(_OPERATORS[symbol](left, right))
    if abs(value.numerator) >= _TOO_LARGE or value.denominator >= _TOO_LARGE:
        raise _too_large(left, symbol, right)
    return value


def _check_power(base: Fraction, exponent: Fraction) -> None:
    """Refuse, before it is computed, a power that is no fraction or has far too many digits."""
    if exponent.denominator != 1:
        raise ToolError(f"{_brief(base)} ** ({_brief(exponent)}): the exponent must be an integer")
    if base == 0 and exponent < 0:
        raise ToolError(f"0 ** {_brief(exponent)}: division by zero")
    # A number of b bits to the n has at least (b - 1) * n bits; what passes here is at most twice too large.
    bits = max(abs(base.numerator), base.denominator).bit_length()
    if (bits - 1) * abs(exponent.numerator) > _TOO_LARGE.bit_length():
        raise _too_large(base, "**", exponent)


def _too_large(left: Fraction, symbol: str, right: Fraction) -> ToolError:
    expression = f"{_brief(left)}{symbol}{_brief(right)}"
    return ToolError(f"{expression}: the result would have more than {MAX_DIGITS} digits")


def _brief(value: Fraction) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:17]}..."


_OPERATORS: dict[str, Callable[[Fraction, Fraction], Fraction | int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    # _check_power has made sure of an integer exponent, with which Fraction's power is exact.
    "**": lambda base, exponent: base**exponent.numerator,
}
