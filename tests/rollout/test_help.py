from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from rollout.help import print_options, type_words


class Box(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)
    slots: int = Field(4, ge=1, le=9)
    """How many [bold]."""
    id: Literal["small", "large"] = "small"
    """Which one."""


class Options(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)
    box: Box = Box()
    """Not shown: its fields are."""
    name: str
    """Must be given."""


def test_every_field_is_shown_with_type_default_and_meaning(capsys):
    print_options(Options, Console(width=100))
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert shown == [
        "box=small  small | large",
        "Which one.",
        "box.slots=4  whole number, at least 1, at most 9",
        "How many [bold].",
        "name=…  text",
        "Must be given.",
    ]


def test_types_are_said_in_words():
    assert type_words(int | None) == "whole number or null"
    assert type_words(tuple[str, ...]) == "list of text"
    assert type_words(list) == "list"
    assert type_words(dict[str, Any]) == "object"
    assert type_words(Box) == "Box"
