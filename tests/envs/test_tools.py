import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from envs.tools import ToolError, tool, tools_of


class Point(BaseModel):
    x: int
    y: int = 0


class Toolbox:
    @tool
    def look(self, title: str, times: int = 1, mode: Literal["near", "far"] = "near") -> str:
        """Look at
        something.

        More about looking.

        Args:
            title: What to look at,
                in words.
            times (int): How often.

        Returns:
            What is seen.
        """
        return title * times

    @tool
    async def go(self, to: Point, model_config: list[str] | None = None) -> str:
        """Go there.

        Raises:
            ToolError: never.
        """
        return f"{to.x}"

    def not_a_tool(self) -> None:
        pass


class Larger(Toolbox):
    @tool
    def add(self, a: float, b: float) -> float:
        """Return a + b."""
        return a + b


TOOLS = tools_of(Larger)


def test_marked_methods_are_tools_base_class_first_in_order() -> None:
    assert list(TOOLS) == ["look", "go", "add"]
    assert tools_of(object) == {}


def test_the_schema_is_the_signature_and_the_docstring_in_openai_form() -> None:
    assert TOOLS["look"].schema == {
        "type": "function",
        "function": {
            "name": "look",
            "description": "Look at something. More about looking.",
            "parameters": {
                "type": "object",
                "properties": {
                    "title": {"type": "string", "description": "What to look at, in words."},
                    "times": {"type": "integer", "default": 1, "description": "How often."},
                    "mode": {"type": "string", "enum": ["near", "far"], "default": "near"},
                },
                "required": ["title"],
            },
        },
    }


def test_nested_types_and_parameters_named_like_pydantics_own_are_allowed() -> None:
    assert TOOLS["go"].description == "Go there."
    assert TOOLS["go"].schema["function"]["parameters"]["required"] == ["to"]
    arguments = TOOLS["go"].read('{"to": {"x": 3}, "model_config": ["a"]}')
    assert arguments == {"to": Point(x=3), "model_config": ["a"]}


def test_arguments_are_read_with_their_defaults() -> None:
    assert TOOLS["look"].read('{"title": "sea"}') == {"title": "sea", "times": 1, "mode": "near"}
    assert TOOLS["add"].read('{"a": 1, "b": "2.5"}') == {"a": 1.0, "b": 2.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "look: title: Field required"),
        ('{"title": ', "look: arguments: Invalid JSON"),
        ("[1]", "look: arguments: Input should be an object"),
        ('{"title": 5}', "look: title: Input should be a valid string"),
        ('{"title": "a", "tims": 2}', "look: tims: Extra inputs are not permitted"),
        ('{"p0": "a"}', "look: title: Field required; p0: Extra inputs are not permitted"),
        ('{"title": "a", "times": "x", "mode": "up"}', "look: times: Input should be a valid integer"),
        ("[" * 100_000, "look: arguments: Invalid JSON: recursion limit exceeded"),
        ('{"title": "\ud800"}', "look: arguments: Input should be a valid string"),
    ],
)
def test_wrong_arguments_are_told_in_one_short_line(text: str, message: str) -> None:
    with pytest.raises(ToolError) as caught:
        TOOLS["look"].read(text)
    assert caught.value.kind == "bad_arguments"
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.text() | st.fixed_dictionaries({"title": json_values}, optional={"times": json_values}).map(json.dumps))
def test_any_text_gives_arguments_or_the_policys_error(text: str) -> None:
    try:
        arguments = TOOLS["look"].read(text)
    except ToolError:
        return
    assert isinstance(arguments["title"], str)
    assert isinstance(arguments["times"], int)


def test_a_tool_without_docstring_type_or_names_is_an_error_of_its_author() -> None:
    class Silent:
        @tool
        def act(self) -> None:
            pass

    class Untyped:
        @tool
        def act(self, what) -> None:  # type: ignore[no-untyped-def]
            """Act."""

    class Anything:
        @tool
        def act(self, **what: int) -> None:
            """Act."""

    with pytest.raises(TypeError, match=r"Silent\.act: it needs a docstring"):
        tools_of(Silent)
    with pytest.raises(TypeError, match="parameter 'what' needs a type"):
        tools_of(Untyped)
    with pytest.raises(TypeError, match=r"parameter \*what has no schema"):
        tools_of(Anything)
