"""`TransformersAgent`: any causal language model of `transformers`, in this process, with continuous batching.

A request joins the running batch when it arrives and leaves when it ends; nobody waits for a batch to finish. Between
its turns an episode keeps its keys and values, so that a turn costs only its new tokens. A request's tokens depend on
its prompt and seed, not on what runs beside it (up to the rounding of float32, which a batch's shape decides).

The model is the caller's own object: its weights are used as they are at each step. A turn never sees keys and values
of weights that an optimiser has changed since; they are computed anew.
"""

import copy
import random

from torch import nn
from transformers import PreTrainedTokenizerBase

from agents.base import AgentError, Generation, Prompt
from agents.batch import Batch, Request
from agents.codec import ChatCodec
from agents.driver import Driver, evaluating
from agents.probe import check
from agents.sampling import Choice

_MAX_PARKED_BYTES = 4 << 30


class TransformersAgent:
    """Answers prompts by sampling from a model. All calls must come from one event loop at a time.

    Args:
        model: a causal language model on its device; it is not copied. While requests run it is in evaluation mode,
            and afterwards in the mode it was in.
        tokenizer: its tokenizer, with a chat template.
        max_batch: requests that are sampled at once; more wait in the order they came.
        temperature: of sampling; 0 is greedy.
        top_p: probability that the ids sampled from reach together, in (0, 1].
        max_context: tokens of prompt and completion; at most what the model has positions for.

    Raises:
        ValueError: an argument is out of its range, or the engine cannot run the model or its template.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_batch: int = 64,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_context: int | None = None,
    ) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch={max_batch}: must be at least 1")
        self.codec = ChatCodec(tokenizer)
        self._choice = _choice(temperature, top_p)
        with evaluating(model):
            check(model)
        stop_ids = self.codec.stop_ids | _ends_of(model)
        self._batch = Batch(model, stop_ids, max_rows=max_batch, max_parked_bytes=_MAX_PARKED_BYTES)
        self._driver = Driver(self._batch, model)
        bounds = [bound for bound in (max_context, self._batch.decoder.max_positions) if bound is not None]
        self.max_context = min(bounds, default=1 << 62)

    @property
    def tokens_sampled(self) -> int:
        """Tokens sampled since construction, through all views of this agent."""
        return self._batch.tokens_sampled

    @property
    def tokens_processed(self) -> int:
        """Tokens given to the model since construction: prompts as far as they were not cached, and completions."""
        return self._batch.decoder.tokens_processed

    def with_temperature(self, temperature: float) -> "TransformersAgent":
        """Return a view of this agent that samples at another temperature and shares its model, cache and batch."""
        view = copy.copy(self)
        view._choice = _choice(temperature, self._choice.top_p)
        return view

    async def act(self, prompt: Prompt) -> Generation:
        """Sample one assistant message.

        `finish_reason` is "length" where `max_new_tokens` or the context ends the message.

        Raises:
            AgentError: the prompt leaves no room for a token, or the model failed.
        """
        prompt_ids = self._prompt_ids(prompt)
        room = self.max_context - len(prompt_ids)
        if room < 1:
            raise AgentError(
                f"the prompt has {len(prompt_ids)} tokens; the context of {self.max_context} has no room left"
            )
        request = Request(
            prompt_ids=prompt_ids,
            max_new_tokens=min(prompt.max_new_tokens, room),
            choice=self._choice,
            uniform=random.Random(prompt.seed),
            episode=prompt.episode,
        )
        await self._driver.run(request)
        return Generation(
            message=self.codec.parse(request.completion_ids, prompt.tools),
            prompt_ids=prompt_ids,
            completion_ids=tuple(request.completion_ids),
            logprobs=tuple(request.logprobs),
            finish_reason=request.finish_reason or "length",
        )

    def forget(self, episode: str) -> None:
        """Drop the keys and values of an episode that has ended."""
        self._batch.parked.take(episode)

    def drop_caches(self) -> None:
        """Drop the keys and values of all episodes, and give the storage back if nothing runs."""
        self._batch.drop_caches()

    async def close(self) -> None:
        """Fail what still runs with `AgentError` and give everything back, for this agent and all its views."""
        await self._driver.close()

    def _prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        if prompt.prefix_ids:
            return prompt.prefix_ids + self.codec.extend(prompt.new, prompt.tools)
        return self.codec.open(prompt.messages, prompt.tools)


def _choice(temperature: float, top_p: float) -> Choice:
    if not temperature >= 0:
        raise ValueError(f"temperature={temperature}: must be 0 (greedy) or more")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p}: must be above 0 and at most 1")
    return Choice(temperature, top_p)


def _ends_of(model: nn.Module) -> frozenset[int]:
    """Return the ids that the model's own generation settings end at."""
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return frozenset([ends] if isinstance(ends, int) else ends or [])
