"""The limits of an episode. What crosses one is stopped, and the reason is recorded."""

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """What one episode may use. The environment itself limits turns and bytes (`EnvConfig`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_tokens: int = Field(1024, ge=2)
    """Tokens of the whole episode, prompt and tool results included."""
    max_new_tokens: int = Field(256, ge=1)
    """Tokens of one assistant message; one that is cut here ends its episode."""
    episode_s: float = Field(120.0, gt=0, allow_inf_nan=False)
    """Wall-clock seconds of an episode, the agent's time included."""
    step_s: float = Field(30.0, gt=0, allow_inf_nan=False)
    """Wall-clock seconds of one reset, step or scoring of the environment."""
