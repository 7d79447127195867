"""`python -m trainers.warm_start out=FOLDER`: make the embedded model from scripted demonstrations.

The tokenizer is trained on the demonstrations' text; the model first learns from references alone, and at the end from
references with a bad habit among them (`trainers.demonstrations`). Everything follows from the configuration: on one
machine with the same versions the same file comes out; another processor rounds differently, and so its weights differ
in the last digits while the figures stay alike.
"""

import os
import sys
from collections.abc import Sequence

from rollout.cli import run_cli

_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 for a mistake on the line, 130 after Ctrl-C."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return run_cli("trainers.schooling:command", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
