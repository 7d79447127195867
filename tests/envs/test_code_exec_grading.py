"""Grading: what earns a hidden test, and that no trick of a submission does."""

import textwrap

import pytest

from envs.code_exec.grading import Case, Grade, grade, same
from sandboxes import ExecResult, SandboxError, lease

CASES = [Case(inputs=[x], expected=x * 3 + 7) for x in (2, 5, 11, -4)]
STUB = Grade(parses=True, runs=True, passed=0)
NOTHING_RAN = Grade(parses=True, runs=False, passed=0)


def graded(source, cases=CASES, timeout_s=1.0):
    with lease({}) as sandbox:
        return grade(sandbox, textwrap.dedent(source), cases, timeout_s=timeout_s)


def test_a_right_solution_passes_every_case():
    assert graded("def f(x):\n    return x * 3 + 7") == Grade(parses=True, runs=True, passed=4)


def test_a_wrong_solution_runs_and_passes_only_where_it_is_right():
    assert graded("def f(x):\n    return x * 3 + 7 if x > 4 else 0") == Grade(parses=True, runs=True, passed=2)


def test_prints_of_the_submission_do_no_harm():
    source = "print('hello')\ndef f(x):\n    print('{\"case\": 0}')\n    return x * 3 + 7"
    assert graded(source) == Grade(parses=True, runs=True, passed=4)


@pytest.mark.parametrize("source", ["def f(x) return x", "x = = 1", "\0", "return 3", "(" * 5000])
def test_what_is_no_python_does_not_parse(source):
    assert graded(source) == Grade()


@pytest.mark.parametrize("source", ["", "x = 1", "1 / 0", "def g(x): return x", "f = 3\nraise KeyError"])
def test_python_without_the_function_parses_and_does_not_run(source):
    assert graded(source) == NOTHING_RAN


def test_a_case_that_raises_fails_alone():
    grade_ = graded("def f(x):\n    if x == 5: raise SystemExit(0)\n    return x * 3 + 7")
    assert grade_ == Grade(parses=True, runs=False, passed=3)


def test_a_case_that_hangs_keeps_the_results_before_it():
    grade_ = graded("def f(x):\n    while x == 11: pass\n    return x * 3 + 7", timeout_s=0.5)
    assert grade_ == Grade(parses=True, runs=False, passed=2)


CHEATS = {
    "exit code 0 at import": ("import sys; print('PASSED'); sys.exit(0)", NOTHING_RAN),
    "hard exit at import": ("import os; os._exit(0)", NOTHING_RAN),
    "hard exit in a case": ("import os\ndef f(x): os._exit(0)", NOTHING_RAN),
    "endless loop at import": ("while True: pass", NOTHING_RAN),
    "recursion without end": ("def f(x): return f(x)", NOTHING_RAN),
    "forged lines on standard output": (
        """
        import json, sys
        for case in range(4):
            print(json.dumps({"case": case, "returned": True, "passed": True, "value": "PASSED"}), flush=True)
        def f(x): return None
        """,
        STUB,
    ),
    "forged lines on every descriptor": (
        """
        import os
        for fd in range(20):
            try:
                for case in range(4):
                    os.write(fd, b'{"case": %d, "returned": true, "value": 0, "passed": true, "expected": 0}\\n' % case)
            except OSError:
                pass
        os._exit(0)
        """,
        STUB,
    ),
    "a forged start": (
        """
        import os
        for fd in range(3, 20):
            try:
                os.write(fd, b'"all passed"\\n')
            except OSError:
                pass
        os._exit(0)
        """,
        NOTHING_RAN,
    ),
    "equal to everything": (
        """
        class Any:
            def __eq__(self, other): return True
            def __hash__(self): return 0
        def f(x): return Any()
        """,
        STUB,
    ),
    "a subclass of int": ("class I(int): pass\ndef f(x): return I(x * 3 + 7)", STUB),
    "a float": ("def f(x): return x * 3.0 + 7", STUB),
    "not a number": ("def f(x): return float('nan')", STUB),
    "a value that no parser takes": ("def f(x): return 10 ** 5000", STUB),
    "nesting without end": ("def f(x):\n  v = []\n  v.append(v)\n  return v", STUB),
    "builtins redefined": (
        """
        import builtins
        builtins.type = lambda value: int
        builtins.all = builtins.any = lambda values: True
        builtins.len = lambda value: 0
        def f(x): return 0
        """,
        STUB,
    ),
    "json patched": (
        """
        import json
        json.dumps = lambda line, **options: '{"case": 0, "passed": true}'
        json.JSONEncoder.encode = lambda self, value: '"PASSED"'
        def f(x): return 0
        """,
        Grade(parses=True, runs=False, passed=0),
    ),
    "a daemon thread": (
        """
        import threading, time
        def work():
            while True: time.sleep(0.01)
        threading.Thread(target=work, daemon=True).start()
        threading.Thread(target=work).start()
        def f(x): return 0
        """,
        STUB,
    ),
    "expected values out of frames and memory": (
        """
        import gc, sys
        found = []
        frame = sys._getframe()
        while frame:
            found += [value for key, value in frame.f_locals.items() if "expected" in key or "answer" in key]
            frame = frame.f_back
        for thing in gc.get_objects():
            if isinstance(thing, dict) and "expected" in thing:
                found.append(thing["expected"])
        def f(x): return found[0] if found else 0
        """,
        STUB,
    ),
    "inputs changed behind the driver": (
        """
        import sys
        frame = sys._getframe().f_back
        while frame:
            order = frame.f_locals.get("order")
            if order: order["inputs"][:] = [[0]] * 4
            frame = frame.f_back
        def f(x): return x
        """,
        STUB,
    ),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_earns_no_hidden_test(name):
    source, expected = CHEATS[name]
    assert graded(source, timeout_s=0.4) == expected


def test_the_expected_values_never_enter_the_sandbox():
    class Recorder:
        def run(self, argv, *, stdin="", timeout_s=10.0):
            self.seen = repr(argv) + stdin
            return ExecResult(stdout='"started"\n', stderr="", exit_code=0, seconds=0.0)

    recorder = Recorder()
    cases = [Case(inputs=[1], expected="the secret"), Case(inputs=[2], expected=987654)]
    assert grade(recorder, "def f(x): pass", cases) == Grade()
    assert "secret" not in recorder.seen
    assert "987654" not in recorder.seen


def test_each_case_gets_inputs_of_its_own():
    cases = [Case(inputs=[[1, 2]], expected=2), Case(inputs=[[1, 2]], expected=2)]
    source = "def f(xs):\n    n = len(xs)\n    xs.clear()\n    return n"
    assert graded(source, cases) == Grade(parses=True, runs=True, passed=2)


def test_values_of_every_plain_type_come_back_as_they_are():
    values = [None, True, 0, -(10**30), 0.5, "é\ud800 'x'\n", [], [[1], {"a": [False]}], {}]
    cases = [Case(inputs=[index], expected=value) for index, value in enumerate(values)]
    assert graded(f"def f(i):\n    return {values!r}[i]", cases).passed == len(values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, 1), (1.0, 1), (0, False), ("1", 1), ([1, True], [1, 1]), ([1], [1, 2]), ({"a": 1.0}, {"a": 1}), ({}, [])],
)
def test_values_of_other_types_or_sizes_are_not_the_same(value, expected):
    assert not same(value, expected)


@pytest.mark.parametrize("source", ["def f(x): return (1, 2)", "def f(x): return {1, 2}", "def f(x): return {1: 2}"])
def test_tuples_sets_and_keys_that_are_no_strings_are_not_json(source):
    cases = [Case(inputs=[0], expected=[1, 2]), Case(inputs=[0], expected={"1": 2})]
    assert graded(source, cases) == STUB


def test_the_order_of_a_dict_does_not_matter():
    assert same({"a": 1, "b": [2]}, {"b": [2], "a": 1})


@pytest.mark.parametrize("timed_out", [True, False])
def test_a_grading_program_that_did_not_start_is_our_failure(timed_out):
    class Broken:
        def run(self, argv, *, stdin="", timeout_s=10.0):
            return ExecResult(stdout="", stderr="no python here", exit_code=127, seconds=0.0, timed_out=timed_out)

    with pytest.raises(SandboxError, match=r"did not start.*no python here"):
        grade(Broken(), "def f(x): return 1", CASES)
