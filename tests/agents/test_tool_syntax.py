"""Reading calls, by its properties: what was written is what is read, and no text makes reading fail."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.tool_syntax import CLOSE, OPEN, HermesSyntax

SYNTAX = HermesSyntax()
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda text: "<" not in text)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | plain, lambda inner: st.lists(inner) | st.dictionaries(plain, inner)
)
calls = st.tuples(plain.filter(bool), st.dictionaries(plain, values))


def written(name: str, arguments: object) -> str:
    return f"{OPEN}\n{json.dumps({'name': name, 'arguments': arguments})}\n{CLOSE}"


@settings(max_examples=40)
@given(st.lists(calls, max_size=4), plain)
def test_calls_are_read_as_they_were_meant(meant, said):
    message = SYNTAX.read(said + "".join(written(*call) for call in meant))
    assert message.content == said.strip()
    assert [(call.name, json.loads(call.arguments), call.error) for call in message.tool_calls] == [
        (name, arguments, None) for name, arguments in meant
    ]
    assert len({call.id for call in message.tool_calls}) == len(meant)


@settings(max_examples=40)
@given(calls)
def test_arguments_are_kept_to_the_letter(call):
    _, arguments = call
    text = json.dumps(arguments, indent=1, ensure_ascii=False)
    frame = f'{{"name": "calculate", "arguments": {text}}}'
    assert SYNTAX.read(f"{OPEN}{frame}{CLOSE}").tool_calls[0].arguments == text


@st.composite
def mutated(draw):
    """A text of calls with a few pieces cut out, doubled or replaced."""
    text = "".join(written(*call) for call in draw(st.lists(calls, min_size=1, max_size=3)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        piece = draw(
            st.sampled_from(["", text[start:end] * 2, OPEN, CLOSE, "{", "}", '"', "\\", "\\ud800", "\x00", "["])
        )
        text = text[:start] + piece + text[end:]
    return text


@given(mutated() | st.text())
@example(f'{OPEN}{{"name": "\\ud800", "arguments": {{}}}}{CLOSE}')
@example(f'{OPEN}{{"name": "f", "arguments": {{"a": "\\udfff"}}, "more": 1}}{CLOSE}')
@example(f'{OPEN}{{"name": "f", "arguments": "\\ud800"}}{CLOSE}')
@example(OPEN + "[" * 5000 + CLOSE)
@example("\ud800")
def test_whatever_is_written_is_a_message_in_which_every_block_is_a_call_or_an_error(text):
    message = SYNTAX.read(text)
    assert len(message.tool_calls) == text.count(OPEN)
    for call in message.tool_calls:
        if call.error is None:
            assert call.name
            message.model_dump_json()
