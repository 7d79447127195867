"""A task: one problem and its verifiable answer. Plain data, JSON both ways; behaviour lives in the environment."""

from pydantic import BaseModel, ConfigDict


class Task(BaseModel):
    """One problem. An environment subclasses it and adds what its rubric needs to verify an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Unique within its split; seeds of an episode derive from it."""
    prompt: str
    """What the policy is told, in words. It must not hold the answer."""
