"""Keys and values of the running batch: one row for each request, in storage that is written in place.

A model's forward pass works on a *window*: rows `first` to `first + count`, columns 0 to `width`. It is handed views of
the storage, so a step copies nothing. An episode that waits for its tools leaves its row and is *parked*: its columns
are copied out, exactly as many as it has, and copied into a free row when it goes on.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Cache

_MIN_ROWS, _MIN_COLUMNS = 4, 128


@dataclass(frozen=True, slots=True)
class Parked:
    """An episode's keys and values between two turns."""

    ids: tuple[int, ...]
    """The token of each column."""
    tensors: tuple[torch.Tensor, ...]
    """Keys and values of each layer, [heads, columns, size]."""
    version: int
    """Of the weights that they were computed with."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(tensor.nbytes for tensor in self.tensors)


class RowCache(Cache):
    """A `transformers` cache over rows. The last column is a dump for padding and never read."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._tensors: list[torch.Tensor] = []  # keys, values, keys, values, ... each [rows, heads, columns, size]
        self._rows = self._columns = 0
        self._first = self._count = self._width = self._seen = 0
        self._columns_written: torch.Tensor | None = None  # [count, tokens]
        self._places: dict[int, torch.Tensor] = {}  # by number of heads: flat row of each new vector

    def look_at(self, first: int, count: int, width: int, columns: list[list[int]], device: torch.device) -> None:
        """Open a window: row `first + i` is about to be given tokens at `columns[i]` (-1 for padding)."""
        self._reserve(first + count, width + 1)
        self._first, self._count, self._width = first, count, width
        self._seen = width - len(columns[0])
        written = torch.tensor(columns, device=device)
        self._columns_written = torch.where(written < 0, self._columns - 1, written)
        self._places = {}

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one layer's new keys and values and return views of the window; called by the model."""
        views = []
        for slot, new in ((2 * layer_idx, key_states), (2 * layer_idx + 1, value_states)):
            while len(self._tensors) <= slot:
                self._tensors.append(_zeros(new, self._rows, self._columns))
            self._write(self._tensors[slot], new)
            views.append(self._tensors[slot][self._first : self._first + self._count, :, : self._width])
        return views[0], views[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the columns before the new tokens; models given `position_ids` do not depend on it."""
        return self._seen

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Return the window's columns and their offset."""
        return self._width, 0

    def park(self, row: int, ids: tuple[int, ...], version: int) -> Parked:
        """Copy a row's first `len(ids)` columns out."""
        return Parked(ids, tuple(tensor[row, :, : len(ids)].clone() for tensor in self._tensors), version)

    def restore(self, row: int, parked: Parked, length: int) -> None:
        """Copy the first `length` parked columns into a row."""
        self._reserve(row + 1, length + 1)
        for tensor, kept in zip(self._tensors, parked.tensors, strict=True):
            tensor[row, :, :length] = kept[:, :length]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` columns of one row over another."""
        for tensor in self._tensors:
            tensor[target, :, :length] = tensor[source, :, :length]

    def clear(self) -> None:
        """Give the storage back."""
        self._tensors = []
        self._rows = self._columns = 0

    def _write(self, tensor: torch.Tensor, new: torch.Tensor) -> None:
        places = self._places_of(tensor.shape[1])
        flat = tensor.view(-1, tensor.shape[-1])
        vectors = new.reshape(-1, new.shape[-1])
        if flat.device.type == "cpu":
            flat.index_copy_(0, places, vectors)  # a quarter of the time of indexed assignment there
        else:
            flat[places] = vectors

    def _places_of(self, heads: int) -> torch.Tensor:
        if heads not in self._places:
            assert self._columns_written is not None, "look_at comes before a forward pass"
            columns = self._columns_written
            rows = torch.arange(self._first, self._first + self._count, device=columns.device)
            heads_of = rows[:, None] * heads + torch.arange(heads, device=columns.device)
            self._places[heads] = (heads_of[:, :, None] * self._columns + columns[:, None]).reshape(-1)
        return self._places[heads]

    def _reserve(self, rows: int, columns: int) -> None:
        """Make room by doubling; what is there is kept."""
        if rows <= self._rows and columns <= self._columns:
            return
        if rows > self._rows:
            self._rows = max(rows, 2 * self._rows, _MIN_ROWS)
        if columns > self._columns:
            self._columns = max(columns, 2 * self._columns, _MIN_COLUMNS)
        grown = [_zeros(tensor, self._rows, self._columns) for tensor in self._tensors]
        for new, old in zip(grown, self._tensors, strict=True):
            new[: old.shape[0], :, : old.shape[2]] = old
        self._tensors = grown


class ParkingPlace:
    """Parked episodes by name, at most `max_bytes` of them; the longest unused gives way and is computed anew."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._parked: OrderedDict[str, Parked] = OrderedDict()

    def __len__(self) -> int:
        return len(self._parked)

    def put(self, episode: str, parked: Parked) -> None:
        """Keep an episode, in place of what was kept of it."""
        self.take(episode)
        self._parked[episode] = parked
        self._bytes += parked.nbytes
        while self._bytes > self._max_bytes:
            self.take(next(iter(self._parked)))

    def take(self, episode: str) -> Parked | None:
        """Return and forget what is kept of an episode."""
        parked = self._parked.pop(episode, None)
        self._bytes -= parked.nbytes if parked else 0
        return parked

    def clear(self) -> None:
        """Forget all."""
        self._parked.clear()
        self._bytes = 0


def _zeros(like: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    # Zeros, not empty: a masked column still takes part as 0 times its value, and 0 times NaN is NaN.
    return torch.zeros(rows, like.shape[1], columns, like.shape[3], dtype=like.dtype, device=like.device)
