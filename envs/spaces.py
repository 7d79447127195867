"""Gymnasium spaces of messages, so that `gymnasium.make` and `check_env` work on every environment."""

from typing import Any

from gymnasium import Space

from envs.messages import Message

_WORDS = ("yes", "no", "42", "hello", "")


class ActionSpace(Space[Message]):
    """Every assistant message."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(None, None, seed)

    def sample(self, mask: Any = None, probability: Any = None) -> Message:
        """Return a short final answer."""
        return Message.assistant(_WORDS[int(self.np_random.integers(len(_WORDS)))])

    def contains(self, x: Any) -> bool:
        """Whether `x` is an assistant message."""
        return isinstance(x, Message) and x.role == "assistant"

    @property
    def is_np_flattenable(self) -> bool:
        """Messages are text: no array holds them."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionSpace)

    __hash__ = None  # type: ignore[assignment]  # a Gymnasium space is mutable (its generator), so it has no hash

    def __repr__(self) -> str:
        return "ActionSpace()"


class ObservationSpace(Space[tuple[Message, ...]]):
    """Every tuple of messages that an environment may write."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(None, None, seed)

    def sample(self, mask: Any = None, probability: Any = None) -> tuple[Message, ...]:
        """Return one user message."""
        return (Message.user(_WORDS[int(self.np_random.integers(len(_WORDS)))]),)

    def contains(self, x: Any) -> bool:
        """Whether `x` is a tuple of messages of which none is the assistant's."""
        return isinstance(x, tuple) and all(isinstance(m, Message) and m.role != "assistant" for m in x)

    @property
    def is_np_flattenable(self) -> bool:
        """Messages are text: no array holds them."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObservationSpace)

    __hash__ = None  # type: ignore[assignment]  # as above

    def __repr__(self) -> str:
        return "ObservationSpace()"
