"""`Decoder`: one forward pass of a causal model over rows of different lengths."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from agents.kv import RowCache

_MAX_CHUNK = 2048
"""Tokens of one row in one pass: the attention mask of a pass has this many rows for each row of the batch."""


class Decoder:
    """Runs a model on windows of a `RowCache`. Not thread-safe.

    Raises:
        ValueError: the model cannot be run on such a cache; the message says why.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.cache = RowCache()
        config: Any = model.config
        self._config = config.get_text_config() if hasattr(config, "get_text_config") else config
        self._windows = _attention_windows(model, self._config)
        self.tokens_processed = 0
        """Tokens given to the model so far, padding left out."""

    @property
    def max_positions(self) -> int | None:
        """Tokens that the model has positions for, if it says so."""
        return getattr(self._config, "max_position_embeddings", None)

    def forward(self, first: int, starts: Sequence[int], new: Sequence[Sequence[int]]) -> torch.Tensor:
        """Feed row `first + i` the ids `new[i]`, whose first stands at column `starts[i]`.

        Returns the logits after the last id of each row, [rows, vocabulary]. Shorter rows are padded on the left, so
        that the last id of each is the last column.
        """
        longest = max(map(len, new))
        while longest > _MAX_CHUNK and len(new) == 1:
            self._pass(first, starts, [new[0][:_MAX_CHUNK]])
            starts, new, longest = [starts[0] + _MAX_CHUNK], [new[0][_MAX_CHUNK:]], longest - _MAX_CHUNK
        return self._pass(first, starts, new)

    def _pass(self, first: int, starts: Sequence[int], new: Sequence[Sequence[int]]) -> torch.Tensor:
        longest = max(map(len, new))
        width = max(start + len(ids) for start, ids in zip(starts, new, strict=True))
        device = next(self.model.parameters()).device
        columns = [
            [-1] * (longest - len(ids)) + list(range(start, start + len(ids)))
            for start, ids in zip(starts, new, strict=True)
        ]
        self.cache.look_at(first, len(new), width, columns, device)
        positions = torch.tensor(columns, device=device).clamp_min(0)
        ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in new], device=device)
        self.tokens_processed += sum(map(len, new))
        output = self.model(
            input_ids=ids,
            attention_mask=self._mask(positions, width),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _mask(self, positions: torch.Tensor, width: int) -> torch.Tensor | dict[str, torch.Tensor]:
        """Return what each new token may see, as numbers to add: [rows, 1, tokens, width].

        Padding stands at position 0 and sees the first column, so that no softmax is over nothing.
        """
        masks = {name: self._causal(positions, width, window) for name, window in self._windows.items()}
        return masks if len(masks) > 1 else next(iter(masks.values()))

    def _causal(self, positions: torch.Tensor, width: int, window: int | None) -> torch.Tensor:
        columns = torch.arange(width, device=positions.device)
        seen = columns <= positions[:, None, :, None]
        if window is not None:
            seen &= columns > positions[:, None, :, None] - window
        dtype = next(self.model.parameters()).dtype
        return torch.zeros((), dtype=dtype, device=positions.device).where(seen, torch.finfo(dtype).min)


def _attention_windows(model: nn.Module, config: Any) -> dict[str, int | None]:
    """Return the kinds of attention that the model's layers have, with how far each looks back (None: all the way)."""
    name = type(model).__name__
    if getattr(config, "is_encoder_decoder", False) or getattr(model, "_is_stateful", False):
        raise ValueError(f"{name} keeps a state that is no key/value cache; the embedded engine cannot run it")
    if "position_ids" not in inspect.signature(_plain(model).forward).parameters:
        raise ValueError(f"{name}.forward takes no position_ids; the embedded engine cannot run it")
    if "flash" in str(getattr(config, "_attn_implementation", "")):
        raise ValueError(f"{name} uses flash attention, which takes no mask; load it with attn_implementation='sdpa'")
    sliding = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention" if sliding else "full_attention"]
    unknown = set(kinds) - {"full_attention", "sliding_attention"}
    if unknown:
        raise ValueError(
            f"{name} has layers of kind {sorted(unknown)}; the embedded engine runs full and sliding attention"
        )
    return {kind: sliding if kind == "sliding_attention" else None for kind in sorted(set(kinds))}


def _plain(model: nn.Module) -> nn.Module:
    """Return the model beneath adapters, whose forward names its parameters."""
    get = getattr(model, "get_base_model", None)
    return get() if callable(get) else model
