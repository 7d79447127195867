"""The command line grammar: `key=value` words become nested data, and a pydantic model turns them into a configuration.

A key is dotted. A value is JSON if it parses as JSON, else text. A scalar that meets children is the node's `id`, in
either order: `env=code_exec env.max_turns=4` is `{"env": {"id": "code_exec", "max_turns": 4}}`. `config=run.json` is
read first and the line wins over it; the same key twice on one line is an error. This module imports nothing but
pydantic, so that a mistake is answered at once, and so that it runs before a foreign package of our name is imported.
"""

import difflib
import importlib.util
import json
import os
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sandboxes.errors import UsageError

PACKAGES = ("sandboxes", "envs", "agents", "rollout", "trainers")
HELP_WORDS = frozenset({"help", "-h", "--help"})

M = TypeVar("M", bound=BaseModel)
Key = tuple[str, ...]


def run_cli(command: str, argv: Sequence[str]) -> int:
    """Run `package.module:function` on the words of a command line and return the exit code of the process.

    The function is imported after `check_one_folder`, takes the words, and returns an exit code. A `UsageError` is
    printed as one line and gives 2; Ctrl-C gives 130; any other exception is a fault of ours and passes.
    """
    try:
        check_one_folder()
        return int(pkgutil.resolve_name(command)(argv))
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`… help | head`): whatever is still buffered must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def check_one_folder(packages: Sequence[str] = PACKAGES) -> None:
    """Check that our packages lie side by side: other distributions install an `agents` or an `envs` too.

    Raises:
        UsageError: one of them comes from elsewhere; says which distribution is in the way.
    """
    home = Path(__file__).resolve().parent.parent
    for name in packages:
        spec = importlib.util.find_spec(name)
        places = [] if spec is None else [Path(place).resolve() for place in spec.submodule_search_locations or ()]
        if places == [home / name]:
            continue
        found = f"comes from {places[0]}" if places else "is missing"
        owners = [owner for owner in packages_distributions().get(name, ()) if owner != "toolgym"]
        fix = f"uninstall {' and '.join(owners)}, or use" if places and owners else "use"
        raise UsageError(f"package {name!r} {found}, not from {home}: {fix} an environment with toolgym alone")


def asks_for_help(argv: Sequence[str]) -> bool:
    """Whether one of the words is `help`, `-h` or `--help`."""
    return not HELP_WORDS.isdisjoint(argv)


def parse_words(argv: Iterable[str]) -> dict[str, Any]:
    """Return the nested data that the words say; their order does not matter. Words that ask for help are passed over.

    Raises:
        UsageError: a word is no `key=value`, or a key is given twice.
    """
    leaves: dict[Key, Any] = {}
    for word in argv:
        if word in HELP_WORDS:
            continue
        key, value = _split(word)
        for path, leaf in _leaves(key, value):
            if path in leaves:
                raise UsageError(f"{'.'.join(path)} is given twice: keep one of the two")
            leaves[path] = leaf
    tree: dict[str, Any] = {}
    for path in sorted(leaves, key=len):
        _insert(tree, path, leaves[path])
    return tree


def merge(base: Any, over: Any) -> Any:
    """Return `base` with `over` laid on top: the latter wins, and a scalar that meets children is their `id`."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}
    if isinstance(base, Mapping):
        return {**base, "id": over}
    if isinstance(over, Mapping):
        return {"id": base, **over}
    return over


def read_line(argv: Sequence[str]) -> dict[str, Any]:
    """Return what a whole command line says: `config=FILE` first, then the other words on top of it.

    Raises:
        UsageError: a word is wrong, or the file is missing or holds no JSON object.
    """
    said = parse_words(argv)
    if "config" not in said:
        return said
    file = said.pop("config")
    merged: dict[str, Any] = merge(read_config(Path(str(file)), f"config={file}"), said)
    return merged


def read_config(path: Path, named: str) -> dict[str, Any]:
    """Return the JSON object of a configuration file; `named` is what messages call it.

    Raises:
        UsageError: the file cannot be read or holds no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{named}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{named}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{named}: a configuration is a JSON object, not {json.dumps(data)[:40]}")
    return data


def load_config(model: type[M], data: Mapping[str, Any], more: Iterable[str] = ()) -> M:
    """Validate nested data; types are taken strictly, so that a number never becomes text or `true` a number.

    `more` are dotted keys that exist besides the model's own: they help to name the nearest.

    Raises:
        UsageError: the first fault, as `key=value: what must be`.
    """
    try:
        return model.model_validate_json(json.dumps(_with_nodes(model, data)), strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        known = [*option_names(model), *more]
        raise UsageError(_in_words(faults[0], known)) from error


def _with_nodes(model: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data with a scalar for a node that has an `id` put where the `id` stands."""
    whole = dict(data)
    for name, field in model.model_fields.items():
        kind = field.annotation
        is_node = isinstance(kind, type) and issubclass(kind, BaseModel) and "id" in kind.model_fields
        if is_node and name in whole and not isinstance(whole[name], Mapping):
            whole[name] = {"id": whole[name]}
    return whole


def option_names(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted keys of a model's fields, nested models' fields included."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        names.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += option_names(field.annotation, f"{prefix}{name}.")
    return names


def no_option(key: str, known: Sequence[str]) -> str:
    """Say that there is no option of this key, and which one is nearest: by spelling, else by its last part."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    last = key.rpartition(".")[2]
    near = near or [name for name in known if name.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"no option {key!r}; " + (f"did you mean {near[0]!r}?" if near else "the word `help` lists what there is")


def no_value(key: str, value: object, choices: Sequence[str]) -> str:
    """Say that an option has no such value, and which one is nearest."""
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"must be one of {', '.join(choices)}"
    return f"{key}={_shown(value)}: {hint}"


def _split(word: str) -> tuple[Key, Any]:
    text, equals, value = word.partition("=")
    if any("\ud800" <= character <= "\udfff" for character in word):
        raise UsageError(f"{word!r}: not UTF-8 text")
    bare = text.lstrip("-")
    if not equals:
        raise UsageError(f"{word!r} is no option: write key=value, as in env=code_exec, or the word `help`")
    if bare != text:
        raise UsageError(f"{word!r}: options have no dashes; write {bare}={value}")
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", text):
        raise UsageError(f"{word!r}: {text!r} is no key; a key is made of names and dots, as in env.max_turns")
    return tuple(text.split(".")), _value(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_reject, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        if isinstance(error, UsageError):
            raise
        return text


def _reject(constant: str) -> None:
    """NaN and Infinity are Python's, not JSON's: they stay text."""
    raise ValueError(constant)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UsageError(f"{{{', '.join(key for key, _ in pairs)}}}: a key is given twice in one object")
    return found


def _leaves(key: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    if not (isinstance(value, dict) and value):
        yield key, value
        return
    for name, child in value.items():
        yield from _leaves((*key, name), child)


def _insert(tree: dict[str, Any], path: Key, leaf: Any) -> None:
    """Set a leaf below nodes that are there, or scalars so far; shorter paths must have come first."""
    node = tree
    for depth, name in enumerate(path[:-1], 1):
        child = node.setdefault(name, {})
        if not isinstance(child, dict):
            child = node[name] = {"id": child}
        if depth == len(path) - 1 and path[-1] in child:
            raise UsageError(f"{'.'.join(path[:-1])} and {'.'.join(path)} say the same thing: keep one of the two")
        node = child
    node[path[-1]] = leaf


def _in_words(fault: ErrorDetails, known: Sequence[str]) -> str:
    """Say one fault that pydantic found in a line."""
    key = ".".join(part for part in map(str, fault["loc"]) if re.fullmatch(r"\w+", part))
    context = fault.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, UsageError):
        return str(cause)
    if fault["type"] == "extra_forbidden":
        return no_option(key, known)
    if fault["type"] == "missing":
        return f"{key} is missing: give {key}=…"
    if fault["type"] == "literal_error":
        return no_value(key, fault["input"], re.findall(r"'([^']*)'", context["expected"]))
    return f"{key}={_shown(fault['input'])}: {_MUST.get(fault['type'], fault['msg']).format(**context)}"


_MUST = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text; JSON that is meant as text needs quotes, as in out='\"2026\"'",
    "tuple_type": 'must be a list, as in \'["a", "b"]\'',
    "list_type": 'must be a list, as in \'["a", "b"]\'',
    "dict_type": "must be an object, or given by dotted keys",
    "model_type": "must be an object, or given by dotted keys",
}


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
