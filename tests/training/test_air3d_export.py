"""A 3D model is written with the warning that its parser gives, and with its card."""

from pathlib import Path

import numpy as np
import pytest
import torch

from inverse_graphics.inference.parser import load_parser
from inverse_graphics.models.air3d.network import Air3D, Air3DSettings
from inverse_graphics.models.weights import load_model
from inverse_graphics.training import air3d_task
from inverse_graphics.training.air3d_task import build_air3d_task, calibration_size, summarise_samples
from inverse_graphics.training.recipe import Air3DRecipe

SMALL = {"kind": "air3d", "channels": (8, 8, 8), "hidden": 16}
RECIPE = {"name": "small", "steps": 1, "objective": {"kind": "sleep"}, "evaluation": {"size": 40}}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network on single objects, which never doubts that there is one."""
    folder = tmp_path_factory.mktemp("small") / "weights"
    family = {"kind": "single_object", "image_size": 32}
    recipe = Air3DRecipe.model_validate(RECIPE | {"model": SMALL | {"family": family}})
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(air3d_task, "FIT_SIZE", 300)
        patch.setattr(air3d_task, "CALIBRATION_SIZE", 300)
        task = build_air3d_task(recipe)
        task.export(folder, {"count_accuracy": 1.0}, print)
    return folder


def test_thresholds_begin_at_the_fewest_objects_and_are_on_the_card(exported: Path) -> None:
    document = load_model(exported).document
    assert document.familiarity is not None
    assert document.familiarity.fewest == 1
    assert len(document.familiarity.log_likelihood) == 1
    assert 0 <= document.metrics["warned_share"] < 0.1
    card = (exported / "README.md").read_text()
    assert (
        f"| log-likelihood of the pixels, 1 objects | {document.familiarity.log_likelihood[0]:.6g} |" in card
    )
    assert "More than 1 objects are always reported" in card


def test_the_parser_warns_as_the_document_says(exported: Path) -> None:
    noise = np.random.default_rng(0).random((20, 32, 32, 3), dtype=np.float32)
    assert all(parse.warning for parse in load_parser(exported).parse(list(noise)))


def test_where_counts_are_never_found_there_is_no_warning(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(air3d_task, "FIT_SIZE", 120)
    monkeypatch.setattr(air3d_task, "CALIBRATION_SIZE", 120)
    family = {"kind": "table_top", "kinds": ["crockery/bowl"], "count_weights": [1, 1], "image_size": 32}
    model = SMALL | {"family": family, "presence_bias": 20}
    with torch.no_grad():
        build_air3d_task(Air3DRecipe.model_validate(RECIPE | {"model": model})).export(
            tmp_path / "w", {}, print
        )
    assert load_model(tmp_path / "w").document.familiarity is None
    assert "These weights give no warnings" in (tmp_path / "w" / "README.md").read_text()


def test_as_many_fresh_images_are_summarised_as_were_asked_for(exported: Path) -> None:
    network = load_model(exported).module
    whole = summarise_samples(network, 60, torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    assert whole.counts.shape == (60,)
    assert whole.summaries.shape[:2] == (60, 1)
    assert np.isfinite(whole.summaries).all()


@pytest.mark.parametrize(
    ("weights", "size"),
    [((1, 1, 1, 1), 2000), ((1,) * 11, 2000), ((9, 1), 2000), ((19, 1), 3000), ((1e6, 1), 10_000)],
)
def test_rare_counts_get_thresholds_too(weights: tuple[float, ...], size: int) -> None:
    family = {"kind": "table_top", "kinds": ["crockery/glass"], "count_weights": weights, "image_size": 32}
    network = Air3D(Air3DSettings.model_validate({"family": family, "channels": (8, 8, 8), "hidden": 16}))
    assert abs(calibration_size(network) - size) <= 1
