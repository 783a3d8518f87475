"""Files of tensors: those of version 0.1 are read under today's names."""

import pytest
import torch

from inverse_graphics.errors import ModelError
from inverse_graphics.models.tensor_file import load_tensors, save_tensors

OLD = {"model.memory.turn": torch.randn(4, 3), "model.network.see.weight": torch.randn(2)}
NOW = {"model.replay.orientation": torch.zeros(4, 3), "model.network.encoder.weight": torch.zeros(2)}


def test_renamed_tensors_are_found_and_added_ones_keep_their_values(tmp_path):
    save_tensors(OLD, tmp_path / "old.safetensors")
    expected = NOW | {"model.replay.K": torch.eye(3).expand(4, 3, 3)}
    found = load_tensors(tmp_path / "old.safetensors", expected, ModelError)
    assert found.keys() == expected.keys()
    assert torch.equal(found["model.replay.orientation"], OLD["model.memory.turn"])
    assert torch.equal(found["model.network.encoder.weight"], OLD["model.network.see.weight"])
    assert torch.equal(found["model.replay.K"], expected["model.replay.K"])


def test_an_added_tensor_that_the_file_has_is_read(tmp_path):
    K = torch.randn(4, 3, 3)
    save_tensors(NOW | {"model.replay.K": K}, tmp_path / "new.safetensors")
    expected = NOW | {"model.replay.K": torch.zeros(4, 3, 3)}
    assert torch.equal(load_tensors(tmp_path / "new.safetensors", expected, ModelError)["model.replay.K"], K)


def test_other_missing_tensors_are_an_error(tmp_path):
    save_tensors(OLD, tmp_path / "old.safetensors")
    with pytest.raises(ModelError, match=r"lacks tensor model\.replay\.images"):
        load_tensors(tmp_path / "old.safetensors", NOW | {"model.replay.images": torch.zeros(4)}, ModelError)
