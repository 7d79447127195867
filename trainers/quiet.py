"""What libraries say goes to the run's log file; the terminal belongs to the run."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import transformers
from rich.console import Console
from rich.text import Text

_WITH_HANDLERS = ("transformers", "huggingface_hub", "datasets", "accelerate")
"""Libraries that may print through a handler of their own, past the root logger."""
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def quiet(log_file: Path, console: Console) -> Iterator[None]:
    """Send all logs and warnings to `log_file`; warnings of our own (`toolgym.*`) are shown on the console too.

    Raises:
        OSError: the file cannot be opened.
    """
    root, ours = logging.getLogger(), logging.getLogger("toolgym")
    to_file = logging.FileHandler(log_file, encoding="utf-8")
    to_file.setFormatter(logging.Formatter(_FORMAT))
    to_console = _ConsoleHandler(console)
    before = root.level, ours.level
    theirs = {logger: (logger.handlers, logger.propagate) for logger in map(logging.getLogger, _WITH_HANDLERS)}
    root.addHandler(to_file)
    ours.addHandler(to_console)
    root.setLevel(logging.WARNING)
    ours.setLevel(logging.INFO)
    for logger in theirs:
        logger.handlers, logger.propagate = [], True
    logging.getLogger("transformers").setLevel(logging.WARNING)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no annotations
    try:
        with warnings.catch_warnings():
            logging.captureWarnings(True)
            yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(to_file)
        ours.removeHandler(to_console)
        root.setLevel(before[0])
        ours.setLevel(before[1])
        for logger, (handlers, propagate) in theirs.items():
            logger.handlers, logger.propagate = handlers, propagate
        to_file.close()


class _ConsoleHandler(logging.Handler):
    """Shows warnings above whatever the console is drawing."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(Text(f"warning: {record.getMessage()}", style="yellow"))
