"""Sandboxes by name: `open_sandbox(config)` finds the backend that `config.id` names."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandboxes import process
from sandboxes.base import Sandbox
from sandboxes.config import SandboxConfig
from sandboxes.errors import UsageError


@dataclass(frozen=True, slots=True)
class _Backend:
    factory: Callable[[SandboxConfig], Sandbox]
    describe: Callable[[SandboxConfig], list[str]]


def _unknown_words(config: SandboxConfig) -> list[str]:
    return [f"sandbox {config.id!r}: its backend does not say what it stops"]


_backends: dict[str, _Backend] = {"process": _Backend(process.ProcessSandbox, process.describe)}


def register_backend(
    id: str,
    factory: Callable[[SandboxConfig], Sandbox],
    *,
    describe: Callable[[SandboxConfig], list[str]] = _unknown_words,
) -> None:
    """Register a backend: `factory` opens one sandbox, `describe` says in words what it stops and what it does not.

    Raises:
        ValueError: the id is taken by another factory.
    """
    present = _backends.get(id)
    if present is not None and present.factory is not factory:
        raise ValueError(f"register_backend({id!r}): already registered for {present.factory!r}")
    _backends[id] = _Backend(factory, describe)


def open_sandbox(config: SandboxConfig) -> Sandbox:
    """Open a new sandbox, the caller's to close.

    Raises:
        UsageError: no backend has the id `config.id`.
        SandboxError: it does not start.
    """
    return _find(config.id).factory(config)


def describe(options: Mapping[str, Any]) -> list[str]:
    """Return what sandboxes with these `SandboxConfig` fields stop and do not stop, a line each, for a run's start.

    Raises:
        UsageError: no backend has that id.
        pydantic.ValidationError: an option is unknown or out of its range.
    """
    config = SandboxConfig(**options)
    return _find(config.id).describe(config)


def _find(id: str) -> _Backend:
    if id not in _backends:
        near = difflib.get_close_matches(id, _backends, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(_backends))}"
        raise UsageError(f"no sandbox {id!r}; {hint}")
    return _backends[id]
