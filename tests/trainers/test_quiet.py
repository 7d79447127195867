import io
import logging
import warnings

from rich.console import Console

from trainers.quiet import quiet


def test_what_libraries_say_goes_to_the_file_and_only_our_warnings_to_the_terminal(tmp_path, capfd):
    console = Console(file=io.StringIO(), width=80)
    file = tmp_path / "run.log"
    with quiet(file, console):
        warnings.simplefilter("always")
        logging.getLogger("transformers.trainer").warning("chatter")
        logging.getLogger("huggingface_hub.file_download").warning("retrying")
        logging.getLogger("toolgym.rollout").warning("[trouble]")
        logging.getLogger("toolgym.rollout").info("detail")
        warnings.warn("from a library", UserWarning, stacklevel=1)
        compile("1 is 1", "model-written", "exec")
    assert console.file.getvalue() == "warning: [trouble]\n"
    text = file.read_text()
    for words in ("chatter", "retrying", "[trouble]", "detail", "from a library", "SyntaxWarning"):
        assert words in text
    assert capfd.readouterr() == ("", "")


def test_afterwards_logs_go_where_they_went_before(tmp_path):
    handlers = list(logging.getLogger().handlers), list(logging.getLogger("toolgym").handlers)
    with quiet(tmp_path / "run.log", Console(file=io.StringIO())):
        pass
    assert (logging.getLogger().handlers, logging.getLogger("toolgym").handlers) == handlers
