import contextlib

import pytest

from sandboxes import SandboxConfig, UsageError, backends, describe, open_sandbox, register_backend
from sandboxes.memory import MemorySandbox


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(backends, "_backends", dict(backends._backends))


def factory(config: SandboxConfig) -> MemorySandbox:
    return MemorySandbox()


def test_an_unknown_backend_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="no sandbox 'proces'; did you mean 'process'"):
        open_sandbox(SandboxConfig(id="proces"))
    with pytest.raises(UsageError, match=r"there are: .*process"):
        describe({"id": "zzz"})


def test_a_registered_backend_opens_and_describes_itself():
    register_backend("fake", factory, describe=lambda config: [f"{config.slots} fakes"])
    with contextlib.closing(open_sandbox(SandboxConfig(id="fake"))) as sandbox:
        assert isinstance(sandbox, MemorySandbox)
    assert describe({"id": "fake", "slots": 3}) == ["3 fakes"]


def test_a_backend_that_says_nothing_is_said_to_say_nothing():
    register_backend("fake", factory)
    assert describe({"id": "fake"}) == ["sandbox 'fake': its backend does not say what it stops"]


def test_an_id_is_registered_once():
    register_backend("fake", factory)
    register_backend("fake", factory)
    with pytest.raises(ValueError, match="already registered"):
        register_backend("fake", lambda config: MemorySandbox())


def test_the_process_backend_is_described_for_the_start_of_a_run():
    assert any("does NOT stop" in line for line in describe({}))
