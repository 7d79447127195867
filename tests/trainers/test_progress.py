import io

from rich.console import Console

from trainers.progress import LiveDisplay, PlainDisplay, StepFigures, open_display

FIGURES = StepFigures(reward=0.5, spread=0.21, tool_calls=1.5, tool_errors=0.25, tokens_per_s=4321.0)


def console(**options):
    return Console(file=io.StringIO(), width=80, **options)


def test_a_step_is_said_in_one_line():
    assert FIGURES.words() == "reward 0.50 ±0.21  calls 1.5  errors 0.25  4.3k tok/s"


def test_a_pipe_gets_plain_lines_and_not_too_many():
    out = console()
    times = iter([0.0, 1.0, 2.0, 12.0, 13.0])
    with PlainDisplay(out, "training", 4, clock=lambda: next(times)) as display:
        for done in range(1, 5):
            display.advance(done, "words")
    assert out.file.getvalue().splitlines() == [
        "training 1/4  words  0:03 left",
        "training 3/4  words  0:04 left",
        "training 4/4  words",
    ]


def test_time_left_goes_by_this_run_alone():
    out = console()
    times = iter([0.0, 300.0])
    display = PlainDisplay(out, "training", 100, 96, clock=lambda: next(times))
    display.advance(99)
    assert "1:40 left" in out.file.getvalue()


def test_the_first_of_many_says_nothing_about_the_time_left():
    out = console()
    PlainDisplay(out, "before", 512).advance(1)
    assert out.file.getvalue() == "before 1/512\n"


def test_a_terminal_gets_a_bar_with_the_latest_words():
    out = console(force_terminal=True)
    with open_display(out, "training [x]", 3600, 1) as display:
        assert isinstance(display, LiveDisplay)
        display.advance(2, FIGURES.words())
    text = out.file.getvalue()
    assert "training [x]" in text
    assert "2/3600" in text
    assert "reward 0.50" in text


def test_output_that_is_no_terminal_gets_no_bar():
    assert isinstance(open_display(console(), "training", 3), PlainDisplay)
