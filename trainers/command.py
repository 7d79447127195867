"""What `python -m trainers.grpo` does with its words: help, or every check that is cheap, and then the job."""

import json
import pkgutil
import time
from collections.abc import Sequence
from textwrap import fill

from rich.console import Console
from rich.text import Text

from envs import env_class, find_env
from rollout.cli import asks_for_help, read_line
from rollout.help import print_options
from sandboxes import UsageError, describe
from trainers.config import TAKEN, TrainConfig, chosen_env, env_names, read_train_config, train_config
from trainers.defaults import ALL_MODELS, EMBEDDED_MODEL
from trainers.folder import RunFolder, resumed
from trainers.preflight import check_before_import
from trainers.trl_options import trl_options

_USAGE = """\
python -m trainers.grpo env=ENV [key=value …]   train a policy with GRPO
python -m trainers.grpo help [env=ENV]          this text, with the options of that environment
python -m trainers.grpo config=run.json …       read the options from a file first; the line wins

A value is JSON if it parses as JSON, else text. Examples:
  python -m trainers.grpo env=code_exec env.max_turns=4 seed=1
  python -m trainers.grpo env=calculator steps=20 trl.learning_rate=1e-4 out=runs/mine
  python -m trainers.grpo out=runs/mine resume=true
"""


def train(argv: Sequence[str]) -> int:
    """Train, or print help; returns the exit code.

    Raises:
        UsageError: anything on the line is wrong, found before torch is imported wherever that is possible.
    """
    if asks_for_help(argv):
        return show_help(argv, Console())
    started = time.monotonic()
    config = read_train_config(resumed(read_line(argv)))
    check_before_import(config)
    folder = RunFolder.open(config)
    console = Console()
    _introduce(config, folder, console)
    with console.status("loading torch"):
        run = pkgutil.resolve_name("trainers.run:run")
    try:
        return int(run(config, folder, console, started))
    except UsageError:
        folder.discard_if_unused()
        raise


def show_help(argv: Sequence[str], console: Console) -> int:
    """Print every option of the chosen environment, or which environments there are; the other words are checked.

    Raises:
        UsageError: one of the other words is wrong.
    """
    data = read_line(argv)
    env_id = chosen_env(data)
    console.print(_USAGE, markup=False, highlight=False, soft_wrap=True)
    if env_id is None:
        _show_environments(console)
        print_options(TrainConfig, console)
    else:
        read_train_config(data)
        _show_environment(env_id, console)
        print_options(train_config(env_id), console)
    _show_trl(console)
    return 0


def _introduce(config: TrainConfig, folder: RunFolder, console: Console) -> None:
    """Say what is about to run, and what the sandbox does not stop, while there is still time to think better of it."""
    where = f"{config.env_name} with the model {config.model}, seed {config.seed}, into {folder.path}"
    console.print(Text(where, style="bold"))
    for line in describe(config.sandbox.model_dump()):
        console.print(Text(line, style="dim"))


def _show_environments(console: Console) -> None:
    console.print("Environments", style="bold")
    for name in env_names():
        console.print(f"  {name:<14} {_summary(find_env(name))}", markup=False, highlight=False)
    console.print()


def _show_environment(env_id: str, console: Console) -> None:
    cls = env_class(env_id)
    console.print(f"{env_id}: {_summary(env_id)}", style="bold", markup=False)
    for tool in cls.tools.values():
        console.print(f"  {tool.name}({', '.join(tool.parameters)})  {tool.description}", markup=False, highlight=False)
    console.print()


def _summary(env_id: str) -> str:
    """Return the first sentence about an environment; one that cannot be imported must not hide the others."""
    try:
        doc = env_class(env_id).__doc__ or ""
    except ImportError as error:
        return f"(cannot be imported: {error})"
    return doc.strip().partition("\n")[0]


def _show_trl(console: Console) -> None:
    names = [f"trl.{name}" for name in trl_options() if name not in TAKEN]
    console.print("Options of TRL that a run sets unless the line does:", style="bold")
    for name, value in {**ALL_MODELS, **EMBEDDED_MODEL}.items():
        only = "  (for the embedded model)" if name in EMBEDDED_MODEL else ""
        console.print(Text(f"  trl.{name}={value if isinstance(value, str) else json.dumps(value)}{only}"))
    console.print("trl.* is handed to TRL's GRPOConfig, where these are described:", style="bold")
    console.print(
        fill("  ".join(names), console.width - 2, initial_indent="  ", subsequent_indent="  "), highlight=False
    )
