"""What `trl.*` may say, read off the source of the installed TRL and transformers without importing either.

Importing `GRPOConfig` takes seconds, a misspelt option should be answered at once. So the three classes that make it up
are parsed: names, annotations, defaults and help texts. A test compares the names with the imported class.
"""

import ast
import importlib.util
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from rollout.cli import no_option, no_value
from rollout.help import type_words
from sandboxes.errors import UsageError

_CLASSES = (
    ("transformers", "training_args.py", "TrainingArguments"),
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("trl", "trainer/grpo_config.py", "GRPOConfig"),
)
_TYPES: dict[str, Any] = {"Any": Any, "__builtins__": {}} | {t.__name__: t for t in (int, float, str, bool, dict, list)}


@dataclass(frozen=True, slots=True)
class TrlOption:
    """One field of `GRPOConfig`, as its source says it."""

    name: str
    annotation: str
    default: str
    """The default's source text; "" where it is computed."""
    meaning: str


@cache
def trl_options() -> Mapping[str, TrlOption]:
    """Return the fields of the installed `GRPOConfig` by name, sorted.

    Raises:
        UsageError: TRL or transformers is not installed.
    """
    found: dict[str, TrlOption] = {}
    for package, file, name in _CLASSES:
        found |= {option.name: option for option in _fields(_class(_parsed(package, file), name))}
    return dict(sorted(found.items()))


def check_trl(values: Mapping[str, Any], taken: Mapping[str, str]) -> None:
    """Check names, plain types and, where TRL compares with fixed words, the words.

    `taken` maps the options that this framework sets itself to what to write instead.

    Raises:
        UsageError: an option that does not exist or is taken, or a value that cannot be.
    """
    options = trl_options()
    for name, value in values.items():
        if name in taken:
            raise UsageError(f"trl.{name}: {taken[name]}")
        if name not in options:
            raise UsageError(no_option(f"trl.{name}", [f"trl.{known}" for known in options]))
        _check_type(options[name], value)
        words = _choices().get(name, ())
        if words and isinstance(value, str) and value not in words:
            raise UsageError(no_value(f"trl.{name}", value, sorted(words)))


def _check_type(option: TrlOption, value: Any) -> None:
    try:
        # Names the source has and we have not (enums) make this fail: TRL checks those itself, before any work.
        kind = eval(option.annotation, _TYPES)
    except NameError:
        return
    try:
        TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        raise UsageError(f"trl.{option.name}={value}: must be a {type_words(kind)}") from error


@cache
def _choices() -> Mapping[str, Collection[str]]:
    """Words that TRL or transformers accept for an option, found where their source lists or compares them."""
    trainer = _parsed("trl", "trainer/grpo_trainer.py")
    compared = {
        name: set(_compared(trainer, name)) for name in ("loss_type", "scale_rewards", "importance_sampling_level")
    }
    return compared | {
        "optim": set(_members(_class(_parsed("transformers", "training_args.py"), "OptimizerNames"))),
        "lr_scheduler_type": set(_members(_class(_parsed("transformers", "trainer_utils.py"), "SchedulerType"))),
    }


@cache
def _parsed(package: str, file: str) -> ast.Module:
    spec = importlib.util.find_spec(package)  # a top-level name: nothing is imported
    if spec is None or spec.origin is None:
        raise UsageError(f"training needs {package}, which is not installed: pip install -e '.[train]'")
    return ast.parse((Path(spec.origin).parent / file).read_text(encoding="utf-8"))


def _class(module: ast.Module, name: str) -> ast.ClassDef:
    return next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)


def _fields(node: ast.ClassDef) -> Iterator[TrlOption]:
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            annotation = ast.unparse(field.annotation)
            if field.target.id.startswith("_") or annotation.startswith("ClassVar") or _not_in_init(field.value):
                continue
            keywords = {k.arg: k.value for k in field.value.keywords} if isinstance(field.value, ast.Call) else {}
            yield TrlOption(field.target.id, annotation, _default(keywords), _meaning(keywords))


def _not_in_init(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and any(
        k.arg == "init" and isinstance(k.value, ast.Constant) and k.value.value is False for k in value.keywords
    )


def _default(keywords: Mapping[str | None, ast.expr]) -> str:
    value = keywords.get("default")
    return ast.unparse(value) if isinstance(value, ast.Constant) else ""


def _meaning(keywords: Mapping[str | None, ast.expr]) -> str:
    if "metadata" not in keywords:
        return ""
    texts = [node.value for node in ast.walk(keywords["metadata"]) if isinstance(node, ast.Constant)]
    return re.sub(r"\s+", " ", "".join(str(text) for text in texts if text != "help")).replace("%%", "%")


def _compared(module: ast.Module, name: str) -> Iterator[str]:
    """Yield the words that `….name` is compared with by == and in."""
    for node in ast.walk(module):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == name:
            for leaf in ast.walk(node.comparators[0]):
                if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str):
                    yield leaf.value


def _members(node: ast.ClassDef) -> Iterator[str]:
    """Yield the values of an enumeration of words."""
    for entry in node.body:
        if isinstance(entry, ast.Assign) and isinstance(entry.value, ast.Constant):
            yield str(entry.value.value)
