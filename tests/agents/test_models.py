"""Loading a policy by name, and what is said when there is none."""

from pathlib import Path

import pytest
import torch

from agents.embedded import FOLDER, load_embedded
from agents.models import load_model
from sandboxes.errors import UsageError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model, tokenizer = load_embedded()
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_embedded_is_the_model_that_ships():
    model, _ = load_model("embedded")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), load_embedded()[0].parameters(), strict=True))


def test_a_folder_is_loaded_in_float32_whatever_it_was_saved_in(saved):
    model, tokenizer = load_model(str(saved))
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    assert tokenizer.response_template is not None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./no/model", "there is no such folder"),
        ("/no/such/model", "there is no such folder"),
        ("~/no_such_model", "there is no such folder"),
        ("runs/mine/checkpoint-3", "there is no such folder"),
        ("tests/no_model_here", "there is no such folder"),
        ("embeded", "did you mean 'embedded'"),
        ("a model", "neither a folder nor a hub name"),
        (str(FOLDER / "config.json"), "is a file"),
        (str(FOLDER.parent), "holds no config.json"),
    ],
)
def test_what_cannot_be_a_model_is_said_before_any_download(monkeypatch, name, said):
    monkeypatch.chdir(FOLDER.parent.parent)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "no address at all")
    with pytest.raises(UsageError, match=said):
        load_model(name)


def test_a_folder_without_weights_is_named(saved, tmp_path):
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / file).write_bytes((saved / file).read_bytes())
    with pytest.raises(UsageError, match=r"cannot be loaded: .*model\.safetensors"):
        load_model(str(tmp_path))


def test_a_model_of_another_kind_is_no_causal_language_model(saved, tmp_path):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_model(str(tmp_path))


def test_a_model_without_a_chat_template_says_what_to_do(saved, tmp_path):
    for file in saved.iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UsageError, match=r"no chat template.*chat_template\.jinja"):
        load_model(str(tmp_path))
