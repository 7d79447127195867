import pytest

from agents.model_names import check_model_name
from sandboxes import UsageError


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "qwen").mkdir(parents=True)
    (tmp_path / "models" / "qwen" / "config.json").write_text("{}")
    (tmp_path / "models" / "empty").mkdir()
    (tmp_path / "weights.bin").write_text("")


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", ["embedded", "models/qwen", "./models/qwen", "gpt2", "Qwen/Qwen3-0.6B"])
def test_a_model_that_may_exist_passes(name):
    check_model_name(name)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models/qwan", "model=models/qwan: there is no such folder; did you mean 'models/qwen'?"),
        ("./gpt2", "model=./gpt2: there is no such folder"),
        ("/nowhere/at/all", "model=/nowhere/at/all: there is no such folder"),
        ("runs/x/final", "model=runs/x/final: there is no such folder"),
        ("models/empty", "model=models/empty: the folder holds no config.json, so no model was saved there"),
        ("weights.bin", "model=weights.bin: is a file; give the folder that the model was saved in"),
        ("embeded", "model=embeded: did you mean 'embedded'?"),
        ("a b", "model=a b: neither a folder nor a hub name, as in Qwen/Qwen3-0.6B"),
    ],
)
def test_a_model_that_cannot_exist_is_refused_before_any_download(name, message):
    with pytest.raises(UsageError) as caught:
        check_model_name(name)
    assert str(caught.value) == message
