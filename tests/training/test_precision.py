"""`precision: auto` is resolved once, when a run begins; what a recipe or an earlier run states is kept."""

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from inverse_graphics.errors import TrainingError
from inverse_graphics.models.weights import load_model
from inverse_graphics.training import air3d_task, precision
from inverse_graphics.training.precision import computes_in_bfloat16, resolve_precision
from inverse_graphics.training.recipe import Air3DRecipe, load_recipe, shipped_recipes
from inverse_graphics.training.run import run

FAMILY = {"kind": "single_object", "image_size": 32}
TINY = {
    "name": "tiny",
    "objective": {"kind": "sleep"},
    "steps": 1,
    "batch_size": 2,
    "evaluation": {"every": 1, "size": 4},
}


def tiny(steps: int = 1, **model: str) -> Air3DRecipe:
    sizes = {"kind": "air3d", "family": FAMILY, "channels": [8, 8, 8], "hidden": 16}
    return Air3DRecipe.model_validate(TINY | {"steps": steps, "model": sizes | model})


def train(recipe: Air3DRecipe, folder: Path, resume: bool = False) -> tuple[str, str]:
    """Train, and tell which precision the weights' document states, and what was printed."""
    printed = io.StringIO()
    result = run(recipe, folder, resume=resume, console=Console(file=printed, width=300))
    assert result.weights is not None
    document = load_model(result.weights).document
    assert document.recipe is not None
    assert document.recipe["model"]["precision"] == document.settings["precision"]
    assert f"precision: {document.settings['precision']}\n" in (folder / "recipe.yaml").read_text()
    return document.settings["precision"], printed.getvalue()


@pytest.fixture
def machine(monkeypatch):
    """Let the CPU compute in bfloat16 or not."""
    monkeypatch.setattr(air3d_task, "FIT_SIZE", 40)
    monkeypatch.setattr(air3d_task, "CALIBRATION_SIZE", 40)
    return lambda native: monkeypatch.setattr(precision, "computes_in_bfloat16", lambda *_: native)


@pytest.mark.parametrize(("native", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_a_run_says_and_stores_what_it_chose_and_keeps_it_on_another_machine(
    native, chosen, machine, tmp_path
):
    machine(native)
    stored, printed = train(tiny(), tmp_path / "run")
    assert stored == chosen
    assert printed.count(f"precision: {chosen} (auto: ") == 1
    machine(not native)
    stored, printed = train(tiny(steps=2), tmp_path / "run", resume=True)
    assert stored == chosen
    assert printed.count(f"precision: {chosen} (as before)") == 1
    assert train(tiny(), tmp_path / "other")[0] != chosen, "another run would notice the other machine"


@pytest.mark.parametrize("stated", ["bfloat16", "float32"])
def test_what_a_recipe_states_wins(stated, machine, tmp_path):
    for native in (True, False):
        machine(native)
        recipe = tiny(precision=stated)
        assert resolve_precision(recipe) == (recipe, None)
    assert resolve_precision(recipe, tiny(precision="bfloat16")) == (recipe, None)
    assert "precision:" not in train(recipe, tmp_path / "run")[1]
    other = {"bfloat16": "float32", "float32": "bfloat16"}[stated]
    with pytest.raises(TrainingError, match=r"another recipe \(other model\.precision\)"):
        train(tiny(steps=2, precision=other), tmp_path / "run", resume=True)


def test_the_choice_may_be_given_and_changes_nothing_else():
    for bfloat16, chosen in ((True, "bfloat16"), (False, "float32")):
        resolved, printed = resolve_precision(tiny(), bfloat16=bfloat16)
        assert resolved == tiny(precision=chosen)
        assert printed is not None


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_leave_the_choice_to_the_machine(name):
    recipe = load_recipe(name)
    resolved, printed = resolve_precision(recipe, bfloat16=False)
    assert (printed is not None) == isinstance(recipe, Air3DRecipe)
    assert (resolved == recipe) == (printed is None)


@pytest.mark.parametrize("capability", ["DEFAULT", "AVX2"])
def test_without_avx512_nothing_is_computed_in_bfloat16(capability, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert not computes_in_bfloat16()


def test_with_avx512_the_instructions_decide(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    assert not computes_in_bfloat16()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert computes_in_bfloat16() == torch.ops.mkldnn._is_mkldnn_bf16_supported()
