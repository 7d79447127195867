"""Sandboxes: disposable machines that run programs and hold files."""

from sandboxes.base import ExecResult, Sandbox
from sandboxes.errors import SandboxError, UsageError

__all__ = ["ExecResult", "Sandbox", "SandboxError", "UsageError"]
