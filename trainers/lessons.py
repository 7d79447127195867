"""Demonstrations as tokens: encoded by the chat template, weighted, and batched by length."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from agents.codec import as_template_message
from trainers.demonstrations import Demonstration

OTHERS_WEIGHT = 0.1
"""Weight of a token that the policy will not write, beside 1 for one it will: reading is worth learning too."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """The token ids of a demonstration, and which of them the policy writes (1, else 0)."""

    ids: Sequence[int]
    mask: Sequence[int]


@dataclass(frozen=True, slots=True)
class LessonBatch:
    """Lessons padded on the right to the longest: in a causal model no other token sees the padding."""

    ids: Tensor  # (B, T)
    weights: Tensor  # (B, T); 0 on padding


def render(demonstration: Demonstration, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the text of a demonstration."""
    return str(tokenizer.apply_chat_template(_chat(demonstration), tools=_tools(demonstration), tokenize=False))


def encode(demonstrations: Sequence[Demonstration], tokenizer: PreTrainedTokenizerBase) -> list[Lesson]:
    """Return the lessons of demonstrations, in their order. The template must mark what the assistant writes."""
    lessons: list[Lesson] = []
    for tools, group in groupby(demonstrations, key=_tools):
        encoded: Any = tokenizer.apply_chat_template(
            [_chat(demonstration) for demonstration in group],
            tools=tools,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        lessons += map(Lesson, encoded["input_ids"], encoded["assistant_masks"])
    return lessons


def batches(
    lessons: Sequence[Lesson], size: int, *, seed: int, padding_id: int, sorted_together: int = 64
) -> Iterator[LessonBatch]:
    """Yield every lesson once, `size` at a time, in an order of the seed; what is left over is dropped.

    The lessons of `sorted_together` batches at a time are sorted by length, so that there is little padding; 1 leaves
    every batch a random mixture.
    """
    rng = random.Random(seed)
    order = rng.sample(range(len(lessons)), len(lessons))
    for part in _parts(order, size * sorted_together):
        by_length = sorted(part, key=lambda index: len(lessons[index].ids))
        groups = [group for group in _parts(by_length, size) if len(group) == size]
        for group in rng.sample(groups, len(groups)):
            yield _pad([lessons[index] for index in group], padding_id)


def _chat(demonstration: Demonstration) -> Any:
    return [as_template_message(message) for message in demonstration.messages]


def _tools(demonstration: Demonstration) -> Any:
    return [dict(tool) for tool in demonstration.tools]


def _parts(items: Sequence[int], size: int) -> list[Sequence[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _pad(lessons: Sequence[Lesson], padding_id: int) -> LessonBatch:
    length = max(len(lesson.ids) for lesson in lessons)
    ids = torch.full((len(lessons), length), padding_id)
    weights = torch.zeros(len(lessons), length)
    for row, lesson in enumerate(lessons):
        ids[row, : len(lesson.ids)] = torch.tensor(lesson.ids)
        weights[row, : len(lesson.ids)] = torch.tensor(lesson.mask).float().clamp(min=OTHERS_WEIGHT)
    return LessonBatch(ids, weights)
