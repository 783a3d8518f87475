from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from inverse_graphics.errors import ModelError, StorageError
from inverse_graphics.models import weights
from inverse_graphics.models.tensor_file import save_tensors
from inverse_graphics.models.weights import ModelDocument, list_models, load_model, save_model

DOCUMENT = ModelDocument(kind="tiny", settings={"units": 3}, metrics={"count_accuracy": 0.5})


class Tiny(nn.Module):
    seen: Tensor
    constant: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.layer = nn.Linear(2, units)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("constant", torch.tensor(2.5), persistent=False)


def build_tiny(settings: Mapping[str, Any], source: str) -> nn.Module:
    if set(settings) != {"units"}:
        raise ModelError(f"{source}: expected units")
    return Tiny(settings["units"])


@pytest.fixture(autouse=True)
def tiny_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "NETWORKS", {**weights.NETWORKS, "tiny": build_tiny})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", Tiny(3), DOCUMENT, "# Tiny\n")
    return tmp_path / "model"


def rewrite(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | changes))


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    module = Tiny(3)
    module.seen.fill_(7)
    save_model(tmp_path / "model", module, DOCUMENT, "# Tiny\n")
    loaded = load_model(tmp_path / "model")
    assert loaded.document == DOCUMENT
    assert not loaded.module.training
    assert loaded.module.constant == 2.5
    assert loaded.module.state_dict().keys() == module.state_dict().keys()
    for name, tensor in module.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], tensor)
    assert (tmp_path / "model" / "README.md").read_text() == "# Tiny\n"


def test_loading_leaves_the_global_random_state_alone(saved: Path) -> None:
    before = torch.random.get_rng_state()
    load_model(saved)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_saving_replaces_a_model_as_a_whole(saved: Path) -> None:
    (saved / "stray").write_text("old")
    save_model(saved, Tiny(5), DOCUMENT.model_copy(update={"settings": {"units": 5}}), "# New\n")
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "model.json", "weights.safetensors"]
    assert load_model(saved).document.settings == {"units": 5}


def test_a_full_disk_leaves_the_old_model(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        save_model(saved, Tiny(3), DOCUMENT, "# Other\n")
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def truncate(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def not_finite(folder: Path) -> None:
    module = Tiny(3)
    module.layer.weight.data[1, 1] = torch.nan
    save_tensors(module.state_dict(), folder / "weights.safetensors")


def of_other_type(folder: Path) -> None:
    save_tensors(Tiny(3).double().state_dict(), folder / "weights.safetensors")


def with_one_more(folder: Path) -> None:
    tensors = Tiny(3).state_dict() | {"layer.extra": torch.zeros(1)}
    save_tensors(tensors, folder / "weights.safetensors")


def without_bias(folder: Path) -> None:
    tensors = {"layer.weight": torch.zeros(3, 2), "seen": torch.tensor(0)}
    save_tensors(tensors, folder / "weights.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, "truncated or damaged"),
        (lambda folder: (folder / "weights.safetensors").write_bytes(b""), "truncated or damaged"),
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"\xff" * 99), "truncated or damaged"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "is missing"),
        (not_finite, "layer.weight is not finite"),
        (of_other_type, "as F64 .*expected F32"),
        (with_one_more, "layer.extra, which the network does not have"),
        (without_bias, "lacks tensor layer.bias"),
        (lambda folder: rewrite(folder, settings={"units": 4}), r"\[3\], expected F32 \[4\]|\[3, 2\], exp"),
        (lambda folder: rewrite(folder, settings={"units": 2**40}), "expected F32"),
        (lambda folder: rewrite(folder, settings={"layers": 4}), "expected units"),
        (lambda folder: rewrite(folder, kind="os.system"), "unknown kind of model 'os.system'"),
        (lambda folder: rewrite(folder, format_version=2), "version 2.*update inverse-graphics"),
        (lambda folder: rewrite(folder, format_version=0), "version 0.*train the model again"),
        (lambda folder: rewrite(folder, format_version="new"), "format_version"),
        (lambda folder: rewrite(folder, surprise=1), "surprise"),
        (lambda folder: rewrite(folder, metrics={"elbo": "high"}), "metrics.elbo"),
        (lambda folder: (folder / "model.json").unlink(), "holds no model.json"),
        (lambda folder: (folder / "model.json").write_text("[" * 10**5), "model.json"),
        (lambda folder: (folder / "model.json").write_text("[]"), "model.json"),
        (lambda folder: (folder / "model.json").write_text('{"kind": NaN}'), "NaN"),
        (lambda folder: (folder / "model.json").write_text(" " * 2**25), "larger than"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe"), "UTF-8"),
    ],
)
def test_a_spoilt_model_is_one_line(
    saved: Path, spoil: Callable[[Path], object], message: str, one_line_error: Any
) -> None:
    spoil(saved)
    with one_line_error(ModelError, message):
        load_model(saved)


def test_an_unknown_model_lists_what_there_is(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_shipped", lambda: {"tiny_digits": saved, "crockery": saved})
    with pytest.raises(ModelError, match=r"did you mean tiny_digits.*known models: crockery, tiny_digits"):
        load_model("tiny_digit")
    with pytest.raises(ModelError, match="no model 'zzz': known models"):
        load_model("zzz")


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="is a file"):
        load_model(tmp_path / "file")


def test_a_shipped_model_is_found_by_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_shipped", lambda: {"tiny_digits": saved})
    assert load_model("tiny_digits").document == DOCUMENT
    assert [(entry.name, entry.document) for entry in list_models()] == [("tiny_digits", DOCUMENT)]


def test_every_shipped_model_loads() -> None:
    for entry in list_models():
        assert load_model(entry.name).document == entry.document


def test_loading_a_model_leaves_the_compiler_of_torch_alone():
    """It takes as long to import as torch, and with Triton it crashes after OpenGL has been used."""
    code = "import sys; from inverse_graphics.models.weights import list_models, load_model\n"
    code += "for entry in list_models(): load_model(entry.name)\n"
    code += "sys.exit('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
