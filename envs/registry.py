"""Finding environments by name. Gymnasium's registry is the only one; what it cannot resolve by itself is added here:
unversioned names, `module:Id`, and ids that installed packages announce in the entry-point group `toolgym.envs`.
"""

import difflib
import importlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

from envs.base import ToolEnv
from sandboxes.errors import UsageError

GROUP = "toolgym.envs"
_known: set[str] = set()


def register(*, id: str, entry_point: str) -> None:
    """Register an environment: `register(id="units-v0", entry_point="my_package.env:UnitsEnv")`.

    Raises:
        ValueError: the id is taken by another entry point, or is no `name-v0`.
    """
    if not re.fullmatch(r"[\w./-]+-v\d+", id):
        raise ValueError(f"register(id={id!r}): an id ends in its version, as in '{id}-v0'")
    present = gymnasium.registry.get(id)
    if present is not None and present.entry_point != entry_point:
        raise ValueError(f"register(id={id!r}): already registered for {present.entry_point}, not {entry_point}")
    if present is None:
        gymnasium.register(id=id, entry_point=entry_point, disable_env_checker=True)
    _known.add(id)


@dataclass(frozen=True)
class EnvSpec:
    """An environment as plain data: its id, its configuration, its sandbox. Crosses processes and hosts."""

    id: str
    """A full id, as `find_env` returns it."""
    config: Mapping[str, Any] = field(default_factory=dict)
    sandbox: Mapping[str, Any] = field(default_factory=dict)

    def env_class(self) -> type[ToolEnv[Any, Any]]:
        """Import and return the environment's class."""
        return env_class(self.id)

    def make(self) -> ToolEnv[Any, Any]:
        """Construct the environment, without Gymnasium's wrappers."""
        return self.env_class()(sandbox=self.sandbox, **self.config)


def find_env(name: str) -> str:
    """Return the full id of `code_exec`, `code_exec-v0`, `my_package:MyEnv-v0` or an installed package's id.

    Raises:
        UsageError: there is no such environment, with the nearest name.
    """
    module, _, short = name.rpartition(":")
    if module:
        _import(module, name)
    _load_entry_points()
    # What was registered with Gymnasium directly is found too, though not listed: most of it is no ToolEnv.
    versioned = [id for id in gymnasium.registry if re.search(r"-v\d+$", id)]
    matches = [id for id in versioned if short in (id, id.rpartition("-v")[0])]
    if matches:
        best = max(matches, key=lambda id: int(id.rpartition("-v")[2]))
        return f"{module}:{best}" if module else best
    names = sorted({id.rpartition("-v")[0] for id in _known} | _known)
    near = difflib.get_close_matches(short, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known_envs())}"
    raise UsageError(f"no environment {name!r}; {hint}")


def known_envs() -> tuple[str, ...]:
    """Return the ids of every environment that is registered or announced by an installed package, sorted."""
    _load_entry_points()
    return tuple(sorted(_known))


def env_class(id: str) -> type[ToolEnv[Any, Any]]:
    """Return the class behind a full id, importing its module.

    Raises:
        UsageError: it is no `ToolEnv`.
    """
    module, _, short = find_env(id).rpartition(":")
    if module:
        importlib.import_module(module)
    entry_point = gymnasium.registry[short].entry_point
    found: object = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    if not (isinstance(found, type) and issubclass(found, ToolEnv)):
        raise UsageError(f"environment {id!r}: {entry_point} is no subclass of envs.ToolEnv")
    return found


def _import(module: str, name: str) -> None:
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"env={name}: {module!r} is no module name, as in 'my_package.envs:MyEnv-v0'")
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        # An import error inside the user's module is theirs to read in full; only its own absence is our message.
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise
        raise UsageError(
            f"env={name}: there is no module {module!r}; is its folder on the path, or installed?"
        ) from error


def _load_entry_points() -> None:
    for name, value in _announced(tuple(sys.path)):
        if name not in _known:
            register(id=name, entry_point=value)


@cache
def _announced(path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return what the packages installed on `path` announce; reading them all takes milliseconds."""
    return tuple((point.name, point.value) for point in entry_points(group=GROUP))
