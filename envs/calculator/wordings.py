"""The wordings of the problems, each with the expression that solves it, in the order of the text.

Few words and many numbers, so that a small model can learn what to calculate, and none can answer without calculating.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pattern:
    """A wording and its solution.

    Slots: `a b c` have two or three digits, `w` four, `x y z v` two, `m` is a multiple of `x`; `name` and `thing` are
    words. A story's value is never negative, and a fraction only where its unit can be split.
    """

    wording: str
    expression: str


PLAIN = (
    Pattern("What is {a} + {b}?", "{a} + {b}"),
    Pattern("What is {a} - {b}?", "{a} - {b}"),
    Pattern("What is {a} * {x}?", "{a} * {x}"),
    Pattern("Work out {a} - {b} * {x}.", "{a} - {b} * {x}"),
    Pattern("Work out {x} * {y} + {a}.", "{x} * {y} + {a}"),
    Pattern("Work out ({a} + {b}) * {x}.", "({a} + {b}) * {x}"),
    Pattern("Work out ({a} + {b}) / {x}.", "({a} + {b}) / {x}"),
    Pattern("Work out ({a} - {b}) * ({x} + {y}).", "({a} - {b}) * ({x} + {y})"),
    Pattern("Add {a} and {b}.", "{a} + {b}"),
    Pattern("Add {a}, {b} and {c}.", "{a} + {b} + {c}"),
    Pattern("Add {a} and {b}, then multiply by {x}.", "({a} + {b}) * {x}"),
    Pattern("Take {a}, subtract {b}, then divide by {x}.", "({a} - {b}) / {x}"),
    Pattern("Multiply {x} by {y}, then add {a}.", "{x} * {y} + {a}"),
    Pattern("Multiply {a} by {x}, then subtract {b}.", "{a} * {x} - {b}"),
    Pattern("Divide the sum of {a} and {b} by {x}.", "({a} + {b}) / {x}"),
    Pattern("Divide {m} by {x}, then add {a}.", "{m} / {x} + {a}"),
    Pattern("What is the square of {x}, plus {a}?", "{x} ** 2 + {a}"),
    Pattern("What is the average of {a}, {b} and {c}?", "({a} + {b} + {c}) / 3"),
)
STORIES = (
    Pattern("{name} has {a} {thing} and buys {b} more. How many {thing} is that?", "{a} + {b}"),
    Pattern("{name} has {a} {thing} and gives away {b}. How many are left?", "{a} - {b}"),
    Pattern("{name} has {a} {thing}, finds {b} and loses {x}. How many are left?", "{a} + {b} - {x}"),
    Pattern("A box holds {x} {thing}. How many {thing} are in {a} boxes?", "{x} * {a}"),
    Pattern("{name} has {x} boxes of {y} {thing} and {a} more. How many {thing} is that?", "{x} * {y} + {a}"),
    Pattern("{name} buys {x} {thing} for {y} cents each and a bag for {a}. How many cents is that?", "{x} * {y} + {a}"),
    Pattern(
        "{name} sells {a} {thing}, then {b} more, for {x} cents each. How many cents is that?", "({a} + {b}) * {x}"
    ),
    Pattern("{m} {thing} are shared by {x} children. How many does each get?", "{m} / {x}"),
    Pattern("{w} {thing} are put in bags of {x}. How many bags are full?", "{w} // {x}"),
    Pattern("{w} {thing} are put in bags of {x}. How many {thing} are left?", "{w} % {x}"),
    Pattern("{a} kg and {b} kg of rice fill {x} equal bags. How many kg are in each?", "({a} + {b}) / {x}"),
    Pattern(
        "{name} plants {x} rows of {y} trees and {z} rows of {v}. How many trees is that?", "{x} * {y} + {z} * {v}"
    ),
    Pattern("{name} gets {a} coins a day for {x} days and loses {b}. How many are left?", "{a} * {x} - {b}"),
    Pattern("{name} has {a} {thing}, buys {x} boxes of {y} and loses {b}. How many are left?", "{a} + {x} * {y} - {b}"),
    Pattern(
        "A shop has {a} {thing}, sells {b} and buys {x} boxes of {y}. How many {thing} is that?",
        "{a} - {b} + {x} * {y}",
    ),
)
