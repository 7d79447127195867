"""Control tokens: what a tokenizer reads as one id with a meaning (`<|im_end|>`, `<tool_call>`), and how text that
only looks like one is kept plain.

Text of tasks and tools is written by others. Where it contains the letters of a control token, they are taken out
before the template is rendered, and put back as ordinary characters when the result is encoded. All other text is
encoded as one piece with the template around it, so its ids are those that the model knows.
"""

import re
from typing import Any

from transformers import PreTrainedTokenizerBase

MARK = "q0toolgymq"
"""Letters that no message and no tool can contain once it is disarmed; used to find one's place in a rendering."""

_STAND_IN = re.compile(r"q0toolgym(\d+)q")
_RESERVED = "q0toolgym"
_TAG = re.compile(r"[<\[{|]\S*[>\]}|]", re.S)


class ControlTokens:
    """The control tokens of a tokenizer: all special tokens, and the added ones that look like a tag."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.texts = frozenset(
            token.content
            for token in tokenizer.added_tokens_decoder.values()
            if token.special or _TAG.fullmatch(token.content)
        )
        longest_first = sorted(self.texts, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, (*longest_first, _RESERVED))))

    def within(self, text: str) -> list[str]:
        """Return the control tokens in a rendered text, in order."""
        return [found for found in self._any.findall(text) if found in self.texts]

    def disarm(self, value: Any, removed: list[str]) -> Any:
        """Return JSON data with a stand-in for each control token in its texts; `removed` takes what was there."""
        if isinstance(value, str):
            return (
                self._any.sub(lambda found: _stand_in(found[0], removed), value) if self._any.search(value) else value
            )
        if isinstance(value, dict):
            return {self.disarm(key, removed): self.disarm(item, removed) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.disarm(item, removed) for item in value]
        return value

    def encode(self, text: str, removed: list[str]) -> list[int]:
        """Return the ids of a rendered text: the template's control tokens are ids, `removed` is ordinary text."""
        if not removed:
            return self._ids(text)
        ids: list[int] = []
        for index, piece in enumerate(_STAND_IN.split(text)):
            ids += self._plain(removed[int(piece)]) if index % 2 else self._ids(piece)
        return ids

    def _plain(self, text: str) -> list[int]:
        """Return the ids of `text` as ordinary characters: cut in two, a control token is none."""
        if not self._any.search(text) or text == _RESERVED:
            return self._ids(text)
        if len(text) == 1:
            return self._ids(text, split_special_tokens=True)
        return [*self._plain(text[:1]), *self._plain(text[1:])]

    def _ids(self, text: str, **options: Any) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False, **options)) if text else []


def _stand_in(text: str, removed: list[str]) -> str:
    removed.append(text)
    return f"{_RESERVED}{len(removed) - 1}q"
