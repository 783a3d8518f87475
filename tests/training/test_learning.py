"""Seconds of training on the digits that ship, and the network counts digits it has never seen."""

from pathlib import Path

import pytest

from inverse_graphics.data.canvases import Canvases
from inverse_graphics.data.glyphs import Glyphs
from inverse_graphics.data.mnist import Part
from inverse_graphics.models.weights import load_model
from inverse_graphics.report.digit_exam import intersection_over_union
from inverse_graphics.scene_parser import SceneParser
from inverse_graphics.training.recipe import load_recipe
from inverse_graphics.training.run import run

QUICK = (
    "data.digits=shipped",
    "steps=450",
    "optimiser.learning_rate=1e-3",
    "optimiser.decay=constant",
    "evaluation.every=450",
    "evaluation.size=600",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = run(load_recipe("multi_mnist", QUICK), tmp_path_factory.mktemp("learning") / "run")
    assert result.weights is not None
    return result.weights


def test_it_counts_digits_it_has_never_seen(trained: Path) -> None:
    """A third would be right by chance, and by counting the objects of an untrained network."""
    metrics = load_model(trained).document.metrics
    assert metrics["count_accuracy"] > 0.85


def test_what_it_finds_is_where_the_digits_are(trained: Path, shipped_digits: dict[Part, Glyphs]) -> None:
    batch = Canvases(shipped_digits["test"]).fixed_set(200, seed=5)
    overlaps = []
    for parse, boxes, count in zip(
        SceneParser.load(trained).parse(list(batch.images)), batch.boxes, batch.counts, strict=True
    ):
        if parse.count == count:
            overlaps += [
                max(intersection_over_union(found.box_px, box) for found in parse.objects)
                for box in boxes[:count].tolist()
            ]
    assert len(overlaps) > 100
    assert sorted(overlaps)[len(overlaps) // 2] > 0.8
