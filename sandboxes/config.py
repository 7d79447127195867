"""What a user chooses about sandboxes: the backend and its limits."""

import os

from pydantic import BaseModel, ConfigDict, Field


def _default_slots() -> int:
    return max(4, 2 * (os.cpu_count() or 1))


class SandboxConfig(BaseModel):
    """The backend and the limits of each sandbox. Frozen and hashable: equal configurations share one pool."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: str = "process"
    """The backend, as it was registered."""
    memory_mb: int = Field(512, ge=64, le=1 << 20)
    """Mebibytes of address space that each process of a program may have."""
    file_mb: int = Field(64, ge=1, le=1 << 20)
    """Mebibytes that one file may have."""
    output_bytes: int = Field(65_536, ge=256, le=1 << 22)
    """Bytes kept of standard output, and as many of standard error; the rest is dropped."""
    processes: int = Field(64, ge=1, le=65_536)
    """Processes that one run may have alive at a time; a run with more is killed (where the system can count them)."""
    slots: int = Field(default_factory=_default_slots, ge=1, le=4096)
    """Sandboxes open at once in the process-wide pool."""
