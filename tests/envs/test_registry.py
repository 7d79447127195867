import dataclasses
import json
import pickle
from pathlib import Path

import gymnasium
import pytest

from envs import EnvSpec, env_class, find_env, known_envs, register, registry
from envs.calculator.env import CalculatorEnv
from sandboxes.errors import UsageError

PACKAGE = """
import gymnasium
from envs import EnvConfig, Rubric, Task, ToolEnv, register

class OwnEnv(ToolEnv[Task, EnvConfig]):
    rubric = Rubric({"any": (1.0, lambda e: 1.0)})

    @classmethod
    def tasks(cls, config, split):
        return [Task(id="1", prompt="hello")]
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path; what is registered from it is listed in this test only."""
    monkeypatch.setattr(registry, "_known", set(known_envs()))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_name_is_found_with_and_without_its_version() -> None:
    assert find_env("calculator") == find_env("calculator-v0") == "calculator-v0"
    assert env_class("calculator-v0") is CalculatorEnv
    assert {"calculator-v0", "code_exec-v0"} <= set(known_envs())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cod_exec", "no environment 'cod_exec'; did you mean 'code_exec'?"),
        ("calculator-v9", "no environment 'calculator-v9'; did you mean 'calculator-v0'?"),
        ("zzz", "no environment 'zzz'; there are: "),
        ("", "no environment ''; there are: "),
        ("no_such_package:Own-v0", "env=no_such_package:Own-v0: there is no module 'no_such_package'"),
        ("envs.no_such:Own-v0", "env=envs.no_such:Own-v0: there is no module 'envs.no_such'"),
        ("../own:Own-v0", "env=../own:Own-v0: '../own' is no module name"),
        ("envs:zzzzzz-v0", "no environment 'envs:zzzzzz-v0'; there are: "),
    ],
)
def test_an_unknown_environment_is_a_usage_error_with_the_nearest_name(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_env(name)
    assert str(caught.value).startswith(message)


def test_a_users_module_is_imported_for_its_environment(path: Path) -> None:
    (path / "own_one.py").write_text(PACKAGE + 'register(id="own_one-v0", entry_point="own_one:OwnEnv")')
    assert find_env("own_one:own_one-v0") == find_env("own_one:own_one") == "own_one:own_one-v0"
    assert env_class("own_one:own_one-v0").__name__ == "OwnEnv"
    assert gymnasium.make("own_one:own_one-v0").reset()[0][0].content == "hello"


def test_the_newest_version_stands_for_the_name(path: Path) -> None:
    lines = [f'register(id="own_two-v{n}", entry_point="own_two:OwnEnv")' for n in (2, 10, 9)]
    (path / "own_two.py").write_text(PACKAGE + "\n".join(lines))
    assert find_env("own_two:own_two") == "own_two:own_two-v10"


def test_an_environment_registered_with_gymnasium_itself_is_found(path: Path) -> None:
    ids = ("own_three-v0", "own_bare")
    lines = [f'gymnasium.register(id="{id}", entry_point=OwnEnv)' for id in ids]
    (path / "own_three.py").write_text(PACKAGE + "\n".join(lines))
    assert env_class(find_env("own_three:own_three")).__name__ == "OwnEnv"


def test_an_installed_package_announces_its_environment(path: Path) -> None:
    (path / "own_four.py").write_text(PACKAGE)
    info = path / "own_four-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-four\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[toolgym.envs]\nown_four-v0 = own_four:OwnEnv\n")
    assert "own_four-v0" in known_envs()
    assert env_class(find_env("own_four")).__name__ == "OwnEnv"


def test_an_import_error_inside_a_users_module_is_shown_as_it_is(path: Path) -> None:
    (path / "own_five.py").write_text("import no_such_dependency")
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        find_env("own_five:Own-v0")


def test_what_is_no_tool_environment_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"'CartPole-v1': .* is no subclass of envs\.ToolEnv"):
        env_class("CartPole-v1")


def test_an_id_needs_a_version_and_belongs_to_one_entry_point() -> None:
    with pytest.raises(ValueError, match="as in 'units-v0'"):
        register(id="units", entry_point="units:UnitsEnv")
    with pytest.raises(ValueError, match=r"already registered for envs\.calculator"):
        register(id="calculator-v0", entry_point="units:UnitsEnv")
    register(id="calculator-v0", entry_point="envs.calculator.env:CalculatorEnv")


def test_a_spec_crosses_processes_as_data_and_makes_the_environment() -> None:
    spec = EnvSpec("calculator-v0", {"train_tasks": 7}, {"id": "process"})
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert EnvSpec(**json.loads(json.dumps(dataclasses.asdict(spec)))) == spec
    env = spec.make()
    assert type(env) is spec.env_class() is CalculatorEnv
    assert (env.config.train_tasks, env.sandbox_options) == (7, {"id": "process"})
