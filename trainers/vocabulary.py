"""The embedded model's tokenizer: a small byte-level BPE whose pieces follow the shape of tool calls and of code.

Any text can be encoded, since all 256 bytes are tokens. What is frequent in the demonstrations becomes one token: the
JSON frame of a call, an escaped newline with its indentation and the word it leads to, a name with its bracket. A
digit is always a token of its own, written the same way wherever it stands, because copying numbers is what a small
model finds hardest.
"""

import re
from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from agents.embedded import FOLDER
from trainers.demonstrations import Demonstration
from trainers.lessons import render

END_OF_TURN = "<|im_end|>"
PADDING = "<|endoftext|>"
_CONTROL = (PADDING, "<|im_start|>", END_OF_TURN)
CALL_TOKENS = ("<tool_call>", "</tool_call>")

_PIECES = (
    r"(?:system|user|assistant|tool)\n",  # what follows <|im_start|>
    r"\nTools: ",
    r'\n?\{"name": "',  # the frame of a call
    r'", "arguments": \{"?',
    r'": "?',
    r'"?\}\}\n?',
    r'", "',
    r"(?:\\n)+ *[A-Za-z_]*",  # a newline inside JSON, the indentation, and the statement's first word
    r"\d",
    r" ?[A-Za-z_]+(?:\(| (?=\d))?",  # the space before a number belongs to the word, so that digits stay bare
    r" ?[^\sA-Za-z_\d\"\\]+(?: (?=\d))?",
    r"\s+",
    r".",
)

RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "open": CALL_TOKENS[0],
            "close_pattern": r"</tool_call>\s*",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>\s*", "content": "text"},
    },
}
"""How `tokenizer.parse_response` reads a message: Hermes calls, then text up to the end of the turn."""


def build_tokenizer(demonstrations: Iterable[Demonstration], size: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer of `size` tokens at most; the same demonstrations give the same tokenizer.

    Raises:
        ValueError: `size` leaves no room for the bytes and the control tokens.
    """
    least = 256 + len(_CONTROL) + len(CALL_TOKENS)
    if size < least:
        raise ValueError(f"size={size}: must be at least {least}, for the bytes and the control tokens")
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("|".join(_PIECES)), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(CALL_TOKENS),
        min_frequency=2,
        show_progress=False,
        special_tokens=[*_CONTROL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    renderer = _with_template(Tokenizer(models.BPE()))
    core.train_from_iterator(_between_control(render(each, renderer) for each in demonstrations), trainer)
    # Not special, so that decoding with skip_special_tokens keeps the calls readable.
    core.add_tokens([AddedToken(token, special=False, normalized=False) for token in CALL_TOKENS])
    return _with_template(core)


def _with_template(core: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers annotates it in part
        tokenizer_object=core,
        eos_token=END_OF_TURN,
        pad_token=PADDING,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    tokenizer.chat_template = (FOLDER / "chat_template.jinja").read_text(encoding="utf-8")
    tokenizer.response_template = RESPONSE_TEMPLATE
    return tokenizer


def _between_control(texts: Iterable[str]) -> Iterator[str]:
    """Yield what stands between control tokens: the trainer would learn pieces of them otherwise."""
    between = re.compile("|".join(map(re.escape, (*_CONTROL, *CALL_TOKENS))))
    for text in texts:
        yield from filter(None, between.split(text))
