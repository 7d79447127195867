"""The embedded model: what ships, and that its template and tokenizer are fit for training on episodes."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase
from trl import chat_template_utils

from agents.chat import ChatCodec, examine
from agents.embedded import FOLDER, load_embedded
from envs import EnvSpec, Message, ToolCall, find_env

CODE = "def f(xs):\n    return [v for v in xs if v > 17]"
CALL = ToolCall(name="submit", arguments=json.dumps({"code": CODE}), id="call_0")
CALCULATION = ToolCall(name="calculate", arguments='{"expression": "(417 + 38) / 6"}', id="call_0")


@pytest.fixture(scope="module")
def embedded() -> Any:
    return load_embedded()


@pytest.fixture(scope="module")
def embedded_tokenizer(embedded: Any) -> PreTrainedTokenizerBase:
    return embedded[1]


@pytest.fixture(scope="module")
def codec(embedded_tokenizer: Any) -> ChatCodec:
    return ChatCodec(embedded_tokenizer)


def schemas(name: str) -> list[dict[str, Any]]:
    return [tool.schema for tool in EnvSpec(find_env(name)).env_class().tools.values()]


def test_the_model_is_a_small_qwen3_in_float32(embedded):
    model, tokenizer = embedded
    assert model.config.model_type == "qwen3"
    assert 600_000 <= sum(weights.numel() for weights in model.parameters()) <= 1_200_000
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    assert model.config.vocab_size == len(tokenizer)


def test_the_weights_take_five_megabytes_at_most():
    assert sum(file.stat().st_size for file in FOLDER.glob("*.safetensors")) <= 5_000_000


def test_each_load_is_a_copy_of_its_own(embedded):
    again, _ = load_embedded()
    assert next(again.parameters()).data_ptr() != next(embedded[0].parameters()).data_ptr()


def test_the_template_satisfies_trl(embedded_tokenizer):
    assert chat_template_utils.supports_tool_calling(embedded_tokenizer)
    assert chat_template_utils.is_chat_template_prefix_preserving(embedded_tokenizer)
    assert chat_template_utils.is_chat_template_stop_token_trained(embedded_tokenizer)


def test_nothing_about_the_template_stands_in_the_way_of_training(embedded_tokenizer):
    assert examine(embedded_tokenizer).problems == []


def test_a_call_is_read_by_transformers_own_parser(embedded_tokenizer):
    text = f'<tool_call>\n{{"name": "submit", "arguments": {CALL.arguments}}}\n</tool_call><|im_end|>'
    read = embedded_tokenizer.parse_response(embedded_tokenizer.encode(text), prefix="<|im_start|>assistant\n")
    assert read["tool_calls"] == [{"type": "function", "function": {"name": "submit", "arguments": {"code": CODE}}}]


@pytest.mark.parametrize("turn", [Message.assistant("", CALCULATION), Message.assistant("75"), Message.assistant("")])
def test_turn_by_turn_gives_the_ids_of_the_whole_conversation(codec, embedded_tokenizer, turn):
    tools = schemas("calculator")
    opening = (Message.system("Calculate."), Message.user("What is (417 + 38) / 6?"))
    answers = tuple(Message.tool("455/6", call) for call in turn.tool_calls) or (Message.user("Sure?"),)
    said = [*embedded_tokenizer.encode(codec.completion_of(template_form(turn))), embedded_tokenizer.eos_token_id]
    ids = [*codec.open(opening, tools), *said, *codec.extend(answers, tools)]
    whole = [template_form(message) for message in (*opening, turn, *answers)]
    rendered = embedded_tokenizer.apply_chat_template(whole, tools=tools, add_generation_prompt=True, return_dict=False)
    assert ids == rendered


def test_a_call_survives_encoding_and_parsing(codec, embedded_tokenizer):
    said = embedded_tokenizer.encode(codec.completion_of(template_form(Message.assistant("", CALL))))
    (call,) = codec.parse([*said, embedded_tokenizer.eos_token_id]).tool_calls
    assert (call.name, json.loads(call.arguments), call.error) == ("submit", {"code": CODE}, None)


def test_tools_are_listed_with_or_without_a_system_prompt(codec, embedded_tokenizer):
    for opening in ((Message.user("hi"),), (Message.system("You."), Message.user("hi"))):
        text = embedded_tokenizer.decode(codec.open(opening, schemas("code_exec")))
        assert text.count("Tools: run_python(code), submit(code)<|im_end|>") == 1


def test_a_conversation_without_tools_lists_none(codec, embedded_tokenizer):
    assert "Tools" not in embedded_tokenizer.decode(codec.open((Message.system("You."), Message.user("hi")), []))


def test_a_digit_is_a_token_of_its_own_wherever_it_stands(embedded_tokenizer):
    for text in ("47", " 47", "x + 47", "(47)", "v > 47]", "has 47 apples", '"47"', "\\n47"):
        tokens = embedded_tokenizer.convert_ids_to_tokens(embedded_tokenizer.encode(text))
        assert [token for token in tokens if any(map(str.isdigit, token))] == ["4", "7"]


@settings(max_examples=50, deadline=None)
@given(text=st.text())
def test_any_text_is_encoded_and_comes_back(codec, text):
    tokenizer = codec.tokenizer
    assert tokenizer.decode(tokenizer.encode(text, split_special_tokens=True)) == text


@pytest.mark.parametrize("name", ["calculator", "code_exec"])
def test_a_scripted_episode_is_short(codec, name):
    env = EnvSpec(find_env(name), {"test_tasks": 100}).make()
    for task in env.tasks(env.config, "test"):
        turns = [template_form(message) for message in (Message.user(task.prompt), *env.reference(task))]
        text = codec.render([{"role": "system", "content": env.system_prompt}, *turns], schemas(name))
        assert len(codec.tokenizer.encode(text)) <= 160


def template_form(message: Message) -> dict[str, Any]:
    calls = [
        {"type": "function", "function": {"name": call.name, "arguments": json.loads(call.arguments)}}
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": message.content} | ({"tool_calls": calls} if calls else {})
