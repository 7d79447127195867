import pytest
from pydantic import ValidationError

from sandboxes import SandboxConfig


def test_equal_configurations_are_one_key():
    assert {SandboxConfig(slots=3): 1}[SandboxConfig(slots=3)] == 1


@pytest.mark.parametrize("field", ["memory_mb", "file_mb", "output_bytes", "processes", "slots"])
@pytest.mark.parametrize("value", [0, -1, 1 << 40, "many"])
def test_a_limit_out_of_range_is_refused_with_its_value(field, value):
    with pytest.raises(ValidationError) as error:
        SandboxConfig(**{field: value})
    assert field in str(error.value)
    assert str(value) in str(error.value)


def test_every_field_has_its_help_text():
    assert all(field.description for field in SandboxConfig.model_fields.values())
