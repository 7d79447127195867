"""What the tests of agents share."""

from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from tests.agents.tiny import make_model, make_tokenizer


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def model() -> PreTrainedModel:
    return make_model()
