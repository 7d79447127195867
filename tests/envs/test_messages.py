import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from envs import Message, Task, ToolCall

text = st.text(max_size=20)
calls = st.builds(ToolCall, name=text, arguments=text, id=text, error=st.none() | text)
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=text,
    tool_calls=st.lists(calls, max_size=3).map(tuple),
    tool_call_id=st.none() | text,
    name=st.none() | text,
)


@settings(deadline=None)
@given(messages)
def test_a_message_survives_json(message: Message) -> None:
    assert Message.model_validate_json(message.model_dump_json()) == message


def test_malformed_arguments_stay_as_written() -> None:
    call = ToolCall(name="no such tool", arguments='{"a": ', id="7")
    read = Message.model_validate_json(Message.assistant("", call).model_dump_json())
    assert read.tool_calls[0].arguments == '{"a": '


def test_a_tool_message_names_the_call_it_answers() -> None:
    answer = Message.tool("4", ToolCall(name="add", id="call_1"))
    assert (answer.role, answer.tool_call_id, answer.name) == ("tool", "call_1", "add")


def test_messages_are_frozen_and_unknown_fields_are_errors() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Message.user("hi").content = "ho"
    with pytest.raises(ValidationError, match="tool_cals"):
        Message.model_validate({"role": "assistant", "tool_cals": []})


def test_a_task_is_frozen_data_with_an_id_and_a_prompt() -> None:
    task = Task(id="1", prompt="How many?")
    assert Task.model_validate_json(task.model_dump_json()) == task
    with pytest.raises(ValidationError, match="Extra inputs"):
        Task.model_validate({"id": "1", "prompt": "", "anwser": 4})
