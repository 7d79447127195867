"""What a chat template does to a tool-calling conversation, found by trying it, and said in words."""

import re
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from agents.codec import PROBE_CALL, PROBE_TOOL, ChatCodec, as_template_message
from agents.tool_syntax import HermesSyntax
from envs import Message

_THINKING = re.compile(r"<think>.*?</think>\s*", re.S)


@dataclass
class TemplateReport:
    """The findings, in words."""

    words: list[str] = field(default_factory=list)
    """One sentence for each finding, problems included."""
    problems: list[str] = field(default_factory=list)
    """What stands in the way of training."""

    @property
    def trainable(self) -> bool:
        """Whether tool-calling episodes can be trained with this template."""
        return not self.problems

    def note(self, word: str) -> None:
        """Add a finding."""
        self.words.append(word)

    def object(self, word: str) -> None:
        """Add a finding that is a problem."""
        self.words.append(word)
        self.problems.append(word)


def examine(tokenizer: PreTrainedTokenizerBase) -> TemplateReport:
    """Try the tokenizer's chat template on short conversations and report what it does. Never raises on a template."""
    report = TemplateReport()
    try:
        codec = ChatCodec(tokenizer)
        _examine_stop(codec, report)
        _examine_tools(codec, report)
        _examine_history(codec, report)
        _examine_syntax(codec, report)
    except (TemplateError, ValueError, TypeError) as error:
        report.object(f"The template refuses a tool-calling conversation: {error}")
    return report


def _examine_stop(codec: ChatCodec, report: TemplateReport) -> None:
    names = sorted(repr(codec.tokenizer.convert_ids_to_tokens(i)) for i in codec.stop_ids)
    if codec.ends_turns:
        report.note(f"A turn ends with {' or '.join(names)}.")
    else:
        report.object("The template writes no token at the end of an assistant's turn, so that a turn has no end.")


def _examine_tools(codec: ChatCodec, report: TemplateReport) -> None:
    said = codec.render([_user("hello")], [PROBE_TOOL])
    if "probe_tool" in said:
        report.note("Tools are shown to the model.")
    else:
        report.object("The template does not show the tools to the model.")
    played = codec.render(_PLAYED, [PROBE_TOOL])
    if all(part in played for part in ("probe_tool", "two words")):
        report.note("Tool calls are written into the conversation.")
    else:
        report.object("The template drops the assistant's tool calls.")
    if "what the tool said" in played:
        report.note("Tool results are written into the conversation.")
    else:
        report.object("The template drops tool messages.")


def _examine_history(codec: ChatCodec, report: TemplateReport) -> None:
    rewritten = False
    for count in (2, 4):
        before = codec.render(_PLAYED[:count], [PROBE_TOOL], generation_prompt=False)
        after = codec.render(_PLAYED, [PROBE_TOOL])
        if not after.startswith(before.rstrip()):
            rewritten = True
            if not _THINKING.sub("", after).startswith(_THINKING.sub("", before).rstrip()):
                report.object("The template rewrites earlier messages when new ones follow.")
                return
    thought = [_user("hello"), {"role": "assistant", "content": "<think>\na thought\n</think>\n\nhi"}, _user("more")]
    if rewritten or "a thought" not in codec.render(thought, [PROBE_TOOL]):
        report.note("The template drops thinking from earlier turns; here what was sampled stays, to the token.")
    else:
        report.note("Earlier messages stay as they were when new ones follow.")


def _examine_syntax(codec: ChatCodec, report: TemplateReport) -> None:
    if codec.syntax is None:
        report.object("Tool calls as this template writes them cannot be read; set tokenizer.response_template.")
    elif isinstance(codec.syntax, HermesSyntax):
        report.note("Tool calls are JSON between <tool_call> tags, and are read back as written.")
    else:
        report.note("Tool calls are read back through the tokenizer's response_template.")


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


_CALL = as_template_message(Message.assistant("", PROBE_CALL))
_RESULT = as_template_message(Message.tool("what the tool said", PROBE_CALL))
_PLAYED = [_user("hello"), _CALL, _RESULT, _CALL, _RESULT]
