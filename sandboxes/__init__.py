"""Sandboxes: disposable machines that run programs and hold files."""

from sandboxes.backends import describe, open_sandbox, register_backend
from sandboxes.base import ExecResult, Sandbox
from sandboxes.config import SandboxConfig
from sandboxes.errors import SandboxError, UsageError
from sandboxes.pool import close_pools, lease

__all__ = [
    "ExecResult",
    "Sandbox",
    "SandboxConfig",
    "SandboxError",
    "UsageError",
    "close_pools",
    "describe",
    "lease",
    "open_sandbox",
    "register_backend",
]
