import ast
import contextlib
import operator
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.calculator.arithmetic import MAX_CHARACTERS, MAX_DEPTH, MAX_DIGITS, evaluate, read_number
from envs.tools import ToolError

OPERATORS: dict[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
numbers = st.integers(0, 999).map(str)
powers = st.builds("{}**{}".format, numbers, st.integers(-3, 3))


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.builds("{} {} {}".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner)
    return binary | inner.map("({})".format) | inner.map("-{}".format)


def as_python_reads_it(node: ast.expr) -> Fraction:
    match node:
        case ast.BinOp(left, symbol, right):
            return Fraction(OPERATORS[type(symbol)](as_python_reads_it(left), as_python_reads_it(right)))
        case ast.UnaryOp(ast.USub(), operand):
            return -as_python_reads_it(operand)
        case ast.Constant(int(value)):
            return Fraction(value)
    raise AssertionError(ast.dump(node))


@settings(deadline=None)  # a busy machine is no fault
@given(st.recursive(numbers | powers, grow, max_leaves=12))
def test_values_and_precedence_are_those_of_python_fractions(expression: str) -> None:
    try:
        expected = as_python_reads_it(ast.parse(expression, mode="eval").body)
    except ZeroDivisionError:
        with pytest.raises(ToolError, match="division by zero"):
            evaluate(expression)
    else:
        assert evaluate(expression) == expected


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(47 + 38) * 6", "510"),
        ("7 / 3", "7/3"),
        ("0.1 + 0.2", "3/10"),
        (".5 + 1.", "3/2"),
        ("-2 ** 2", "-4"),
        ("2 ** 3 ** 2", "512"),
        ("2 ** -2", "1/4"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("1 -\n 1", "0"),
        ("(-1) ** 10 ** 900", "1"),
        ("0 ** 0", "1"),
    ],
)
def test_results_are_exact(expression: str, value: str) -> None:
    assert str(evaluate(expression)) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1 / (2 - 2)", "1 / 0: division by zero"),
        ("1 // 0", "1 // 0: division by zero"),
        ("1 % 0", "1 % 0: division by zero"),
        ("0 ** -1", "0 ** -1: division by zero"),
        ("2**99999", "2**99999: the result would have more than 1000 digits"),
        ("2 ** -99999", "2**-99999: the result would have more than 1000 digits"),
        ("9 ** 9 ** 9", "9**387420489: the result would have more than 1000 digits"),
        ("2 ** (1 / 2)", "2 ** (1/2): the exponent must be an integer"),
        ("3 * x", "unknown name 'x': an expression holds numbers and operators only"),
        ("__import__('os')", "unknown name '__import__': an expression holds numbers and operators only"),
        ("2 ^ 3", "unexpected '^'; the operators are + - * / // % ** and parentheses"),
        ("1 + ) 2", "unexpected ')' after '1 +', where a number is needed"),
        ("(1 + 2", "the expression ends after '1 + 2', where ')' is needed"),
        ("2 3", "unexpected '3' after '2', where an operator is needed"),
        ("* 3", "unexpected '*', where a number is needed"),
        (" ", "the expression is empty"),
    ],
)
def test_what_cannot_be_calculated_is_told_in_words(expression: str, message: str) -> None:
    with pytest.raises(ToolError) as caught:
        evaluate(expression)
    assert str(caught.value) == message


@settings(deadline=None)
@given(st.text() | st.text("0123456789+-*/%(). \t\nex_,", max_size=80))
def test_any_text_gives_a_value_or_the_tools_own_error(text: str) -> None:
    with contextlib.suppress(ToolError):
        assert isinstance(evaluate(text), Fraction)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000,
        "-" * 5_000 + "1",
        "-" * (MAX_CHARACTERS - 1) + "1",
        "(" * MAX_CHARACTERS,
        "2**" * 300 + "2",
        "9**9**9",
        "9" * MAX_CHARACTERS + "**2",
        "(9**999)*(9**999)",
        "1" + "*(9**999)" * 100,
        "+".join(f"1/{n}**90" for n in range(1000, 1090)),
        " " * MAX_CHARACTERS + "x",
        "\ud800",
        "1\x00",
    ],
)
def test_adversarial_text_is_refused_before_it_costs_anything(text: str) -> None:
    with pytest.raises(ToolError) as caught:
        evaluate(text)
    assert len(str(caught.value)) < 200


def test_nesting_and_digits_are_allowed_up_to_their_bounds() -> None:
    assert evaluate("(" * (MAX_DEPTH - 1) + "1" + ")" * (MAX_DEPTH - 1)) == 1
    assert evaluate(f"10 ** {MAX_DIGITS - 1}") == 10 ** (MAX_DIGITS - 1)
    with pytest.raises(ToolError, match="more than 1000 digits"):
        evaluate(f"10 ** {MAX_DIGITS}")
    with pytest.raises(ToolError, match="more than 1000 digits"):
        evaluate("9 ** 999 * 9 ** 999")


@pytest.mark.parametrize(
    ("text", "value"),
    [("57", 57), (" 57 \n", 57), ("57.0", 57), ("+57", 57), ("-7/3", Fraction(-7, 3)), ("14/6", Fraction(7, 3))],
)
def test_a_number_alone_is_read(text: str, value: Fraction) -> None:
    assert read_number(text) == value


@pytest.mark.parametrize(
    "text", ["", "The answer is 57.", "57 apples", "50 + 7", "1e5", "5/0", "5/00", "5/-7", "\u0665", "1_0", "9" * 5_000]
)
def test_other_text_is_no_number(text: str) -> None:
    assert read_number(text) is None
