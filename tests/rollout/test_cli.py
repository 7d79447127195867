import contextlib
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from rollout.cli import asks_for_help, check_one_folder, load_config, merge, parse_words, read_line, run_cli
from sandboxes.errors import UsageError

NAMES = st.sampled_from(["env", "id", "max_turns", "seed", "trl", "x"])
KEYS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8).filter(str.isprintable))


class Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    max_turns: int = Field(8, ge=1)


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    env: Node
    rate: float = Field(1.0, gt=0, lt=9)
    mode: str = "plain"
    names: tuple[str, ...] = ()


def leaves(tree, path=()):
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def refused(words, model=Model):
    with pytest.raises(UsageError) as caught:
        load_config(model, read_line(words))
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("words", list(itertools.permutations(["env=code_exec", "env.max_turns=4"])))
def test_a_scalar_that_meets_children_is_the_id_in_either_order(words):
    assert parse_words(words) == {"env": {"id": "code_exec", "max_turns": 4}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("1e-5", 1e-5),
        ("true", True),
        ("null", None),
        ('"4"', "4"),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', {"a": 1}),
        ("code_exec", "code_exec"),
        ("a=b", "a=b"),
        ("", ""),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("{not json", "{not json"),
        ("[" * 100_000, "[" * 100_000),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_value_is_json_if_it_parses_as_json_else_text(text, value):
    assert parse_words([f"key={text}"]) == {"key": value}


@given(st.dictionaries(KEYS, SCALARS, max_size=6), st.randoms())
def test_the_order_of_words_changes_nothing_and_no_value_is_lost(values, random):
    words = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    shuffled = random.sample(words, len(words))
    try:
        tree = parse_words(words)
    except UsageError:
        with pytest.raises(UsageError):
            parse_words(shuffled)
        return
    assert parse_words(shuffled) == tree
    found = dict(leaves(tree))
    assert len(found) == len(values)
    for key, value in values.items():
        path = tuple(key.split("."))
        assert any(path + ("id",) * n in found and found[path + ("id",) * n] == value for n in range(4))


@given(st.recursive(SCALARS, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=8))
def test_one_json_object_says_the_same_as_its_dotted_leaves(value):
    tree = parse_words([f"top={json.dumps(value)}"])
    words = [f"{'.'.join(path)}={json.dumps(leaf)}" for path, leaf in leaves(tree)]
    assert parse_words(words) == tree


@given(KEYS, SCALARS, SCALARS)
def test_the_same_key_twice_is_refused(key, first, second):
    with pytest.raises(UsageError, match="given twice"):
        parse_words([f"{key}={json.dumps(first)}", f"{key}={json.dumps(second)}"])


@given(st.text(max_size=20))
def test_any_word_is_understood_or_refused_in_words(word):
    with contextlib.suppress(UsageError):
        assert isinstance(parse_words([word]), dict)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["env"], "'env' is no option: write key=value"),
        (["--env=x"], "write env=x"),
        (["a..b=1"], "is no key"),
        (["=1"], "is no key"),
        (["a.2=1"], "is no key"),
        (["env=a", "env.id=b"], "env and env.id say the same thing"),
        (['env={"x": 1}', "env.x=2"], "env.x is given twice"),
        (['env={"x": 1, "x": 2}'], "a key is given twice"),
        (["a=\udc80"], "not UTF-8"),
    ],
)
def test_a_word_that_cannot_be_used_is_named(words, message):
    with pytest.raises(UsageError, match=message):
        parse_words(words)


def test_words_that_ask_for_help_are_no_options():
    assert parse_words(["help", "a=1"]) == {"a": 1}
    assert asks_for_help(["a=1", "--help"])
    assert not asks_for_help(["a=help"])


def test_the_line_wins_over_the_file_wherever_it_stands(tmp_path):
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"env": "calculator", "rate": 2.0, "names": ["a"]}))
    said = read_line(["rate=3", f"config={file}", "env.max_turns=2"])
    assert said == {"env": {"id": "calculator", "max_turns": 2}, "rate": 3, "names": ["a"]}


def test_a_scalar_on_top_of_a_node_changes_its_id_alone():
    assert merge({"env": {"id": "a", "x": 1}}, {"env": "b"}) == {"env": {"id": "b", "x": 1}}


@pytest.mark.parametrize(("text", "message"), [("[1]", "a JSON object"), ("{", "not JSON"), (None, "No such file")])
def test_a_file_that_is_no_configuration_is_named(tmp_path, text, message):
    file = tmp_path / "run.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_line([f"config={file}"])
    assert "run.json" in str(caught.value)


def test_a_scalar_alone_stands_for_a_node():
    assert load_config(Model, {"env": "x", "names": ["a"]}) == Model(env=Node(id="x"), names=("a",))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["env=x", "env.max_turns=0"], "env.max_turns=0: must be at least 1"),
        (["env=x", "env.max_turns=1.5"], "env.max_turns=1.5: must be a whole number"),
        (["env=x", "env.max_turns=true"], "env.max_turns=true: must be a whole number"),
        (["env=x", 'env.max_turns="2"'], "env.max_turns=2: must be a whole number"),
        (["env=x", "env.max_turn=3"], "no option 'env.max_turn'; did you mean 'env.max_turns'?"),
        (["env=x", "max_turns=3"], "no option 'max_turns'; did you mean 'env.max_turns'?"),
        (["env=x", "zzz=3"], "no option 'zzz'; the word `help` lists what there is"),
        (["rate=1"], "env is missing: give env=…"),
        (["env=x", "rate=0"], "rate=0: must be more than 0"),
        (["env=x", "rate=9"], "rate=9: must be less than 9"),
        (["env=x", "rate=1e999"], "rate=Infinity: must be a finite number"),
        (["env=x", "mode=3"], "mode=3: must be text"),
        (["env=x", "names=a"], "names=a: must be a list"),
    ],
)
def test_a_wrong_option_is_answered_with_what_would_be_right(words, message):
    assert refused(words).startswith(message)


def test_a_long_value_is_cut_in_the_message():
    assert len(refused(["env=x", f"rate={'y' * 5000}"])) < 200


def test_our_packages_share_one_folder():
    check_one_folder()


def test_a_foreign_package_of_our_name_is_named_with_its_distribution(tmp_path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("raise SystemExit('imported')\n")
    info = tmp_path / "openai_agents-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: openai-agents\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("agents\n")
    home = Path(__file__).parents[2]
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(home)!r}]; from rollout.cli import run_cli; "
    code += "sys.exit(run_cli('trainers.command:train', ['help']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert "package 'agents' comes from" in done.stderr
    assert "uninstall openai-agents" in done.stderr


def test_a_package_that_is_missing_is_named():
    with pytest.raises(UsageError, match="'no_such_package' is missing"):
        check_one_folder(["no_such_package"])


def stopped(argv):
    raise KeyboardInterrupt


def mistaken(argv):
    raise UsageError(f"{argv[0]}: no")


def broken(argv):
    raise RuntimeError("ours")


def good(argv):
    return 0


def test_exit_codes_tell_success_mistake_and_interruption_apart(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "a_command", sys.modules[__name__])
    assert run_cli("a_command:good", []) == 0
    assert run_cli("a_command:mistaken", ["x"]) == 2
    assert capsys.readouterr().err == "error: x: no\n"
    assert run_cli("a_command:stopped", []) == 130
    with pytest.raises(RuntimeError, match="ours"):
        run_cli("a_command:broken", [])
