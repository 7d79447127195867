"""`Batch`: continuous batching, one step at a time. Requests join when there is room and leave when they end."""

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from agents.base import FinishReason
from agents.decoder import Decoder
from agents.kv import ParkingPlace
from agents.sampling import Choice, sample

_MAX_PREFILL = 4096
"""Prompt tokens of one pass, padding included, where several requests join at once."""


@dataclass(eq=False, slots=True)
class Request:
    """One turn to be sampled, and what is sampled of it so far."""

    prompt_ids: tuple[int, ...]
    max_new_tokens: int
    choice: Choice
    uniform: random.Random
    episode: str
    completion_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    cancelled: bool = False
    cached: int = 0
    """Columns of its row that hold keys and values."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and completion."""
        return (*self.prompt_ids, *self.completion_ids)


class Batch:
    """Up to `max_rows` requests at once, the others in the order they came. Not thread-safe.

    Row i of the cache belongs to `running[i]`.
    """

    def __init__(
        self, model: torch.nn.Module, stop_ids: frozenset[int], *, max_rows: int, max_parked_bytes: int
    ) -> None:
        self.decoder = Decoder(model)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self.parked = ParkingPlace(max_parked_bytes)
        self.tokens_sampled = 0
        self._ended: list[Request] = []
        self._model = model
        self._stop_ids = stop_ids
        self._max_rows = max_rows

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.waiting or self.running)

    @torch.inference_mode()
    def step(self) -> list[Request]:
        """Sample one token for each running request, and the first of those that join; return those that ended.

        Raises:
            FloatingPointError: the model's logits are no numbers.
        """
        for request in [request for request in self.running if request.cancelled]:
            self._leave(request)
        self._ended = []
        if self.running:
            self._advance(0, [request.completion_ids[-1:] for request in self.running])
        self._admit()
        return self._ended

    def reset(self) -> None:
        """Drop everything: requests, rows and parked episodes."""
        self.waiting.clear()
        self.running.clear()
        self.drop_caches()

    def drop_caches(self) -> None:
        """Forget parked episodes; give the rows' storage back if no request runs."""
        self.parked.clear()
        if not self.running:
            self.decoder.cache.clear()

    def _admit(self) -> None:
        """Let waiting requests join, those with alike many new tokens together."""
        joining: list[Request] = []
        while self.waiting and len(self.running) + len(joining) < self._max_rows:
            request = self.waiting.popleft()
            if not request.cancelled:
                joining.append(request)
        if not joining:
            return
        version = self._version()
        found = [(request, self._cached_part(request, version)) for request in joining]
        found.sort(key=lambda pair: len(pair[0].prompt_ids) - pair[0].cached)
        while found:
            count = _group([len(request.prompt_ids) - request.cached for request, _ in found])
            self._join(found[-count:])
            del found[-count:]

    def _join(self, group: Sequence[tuple[Request, Any]]) -> None:
        first = len(self.running)
        for row, (request, parked) in enumerate(group, start=first):
            if request.cached:
                self.decoder.cache.restore(row, parked, request.cached)
        requests = [request for request, _ in group]
        self.running.extend(requests)
        self._advance(first, [request.prompt_ids[request.cached :] for request in requests])

    def _cached_part(self, request: Request, version: int) -> Any:
        """Find the columns that an earlier turn left, as far as its ids are those of this prompt."""
        parked = self.parked.take(request.episode) if request.episode else None
        if parked is None or parked.version != version:
            return None
        ids = request.prompt_ids
        same = len(parked.ids) if ids[: len(parked.ids)] == parked.ids else _shared(ids, parked.ids)
        # The last id is always computed: its logits are what the first new token is sampled from.
        request.cached = min(same, len(ids) - 1)
        return parked

    def _advance(self, first: int, new: list[Any]) -> None:
        """Feed ids to the rows from `first` on, sample the next of each, and let go of those that end."""
        requests = self.running[first : first + len(new)]
        logits = self.decoder.forward(first, [request.cached for request in requests], new)
        ids, logprobs = sample(
            logits, [request.choice for request in requests], [request.uniform.random() for request in requests]
        )
        for request, fed, identity, logprob in zip(requests, new, ids, logprobs, strict=True):
            if math.isnan(logprob):
                raise FloatingPointError("the model's logits are not numbers: its weights have diverged")
            request.cached += len(fed)
            request.completion_ids.append(identity)
            request.logprobs.append(logprob)
            if identity in self._stop_ids:
                request.finish_reason = "stop"
            elif len(request.completion_ids) >= request.max_new_tokens:
                request.finish_reason = "length"
        self.tokens_sampled += len(requests)
        for request in requests:
            if request.finish_reason is not None:
                self._leave(request)
                self._ended.append(request)

    def _leave(self, request: Request) -> None:
        """Free the request's row, and move the last row into it so that the running ones stay together."""
        row = self.running.index(request)
        if request.episode and request.finish_reason and not request.cancelled:
            ids = request.ids[: request.cached]
            self.parked.put(request.episode, self.decoder.cache.park(row, ids, self._version()))
        last = self.running.pop()
        if last is not request:
            self.running[row] = last
            self.decoder.cache.move(len(self.running), row, last.cached)

    def _version(self) -> int:
        """Return a number that changes with every in-place change of the weights, such as an optimiser's step."""
        return sum(parameter._version for parameter in self._model.parameters())


def _group(lengths: Sequence[int]) -> int:
    """Return how many of the longest (`lengths` ascending) go in one pass, with no more padding than there is to do."""
    longest, total = lengths[-1], 0
    for count, length in enumerate(reversed(lengths), start=1):
        total += length
        if count > 1 and (longest * count > _MAX_PREFILL or longest * count > 2 * total):
            return count - 1
    return len(lengths)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many ids two sequences begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
