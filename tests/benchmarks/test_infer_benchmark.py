"""Exams mark right answers as right and wrong ones as wrong, and show what they say they show."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from inverse_graphics.benchmarks import infer
from inverse_graphics.benchmarks.infer import benchmark_infer
from inverse_graphics.evaluation.scene_images import (
    OTHER_OBJECTS,
    InDistributionScenes,
    SceneSuite,
    out_of_distribution_for,
    render_images,
    scene_scores,
)
from inverse_graphics.families.registry import build_family
from inverse_graphics.families.table_top import TableTopSettings
from inverse_graphics.inference.parse import Parse, ParsedCamera, ParsedObject
from inverse_graphics.inference.parser import SceneParser
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.models.air3d.network import Air3D, Air3DSettings
from inverse_graphics.models.weights import LoadedModel, ModelDocument

FAMILY = {"kind": "table_top", "image_size": 32}
SETTINGS = Air3DSettings.model_validate({"family": FAMILY, "channels": (8, 8, 8), "hidden": 16, "sigma": 0.1})
DOCUMENT = ModelDocument(kind="air3d", settings=SETTINGS.model_dump(mode="json"))


@pytest.fixture(scope="module")
def known() -> InDistributionScenes:
    return InDistributionScenes.from_document(DOCUMENT)


def truthful(known: InDistributionScenes, count: int) -> list[Parse]:
    """Parses that say what is there, in another order."""
    batch, library = known.sample(count, 3), known.family.library
    nothing, parses = np.zeros((1, 1, 3), np.float32), []
    for scene in (batch.scene(index, library) for index in range(count)):
        found = [
            ParsedObject(
                box_px=(0, 0, 1, 1),
                identity=placed.asset,
                position_m=placed.position_m,
                quaternion_xyzw=placed.quaternion_xyzw,
            )
            for placed in reversed(scene.objects)
        ]
        camera = ParsedCamera(scene.camera.K, scene.camera.T_world_camera)
        parses.append(
            Parse("", "", len(found), (), 0.0, None, tuple(found), camera, nothing, nothing, nothing[None])
        )
    return parses


def aside(found: ParsedObject) -> ParsedObject:
    """Two centimetres along x."""
    x, y, z = found.position_m or (0.0, 0.0, 0.0)
    return replace(found, position_m=(x + 0.02, y, z))


@pytest.fixture(scope="module")
def truth(known) -> PredictedScenes:
    return PredictedScenes.from_batch(known.sample(60, 3))


def test_the_truth_has_full_marks(known, truth):
    marked = scene_scores(truthful(known, 60), truth, known.family)
    assert marked.count_accuracy == marked.identity_accuracy == 1
    assert marked.position_error_m == pytest.approx(0, abs=1e-6)
    assert marked.rotation_error_degrees == pytest.approx(0, abs=1e-3)
    assert marked.camera_error_degrees == pytest.approx(0, abs=1e-3)


def test_each_mark_falls_for_its_own_mistake(known, truth):
    parses = truthful(known, 60)

    def each(**changes):
        return [replace(p, objects=tuple(replace(o, **changes) for o in p.objects)) for p in parses]

    half = [replace(p, count=0, objects=()) if i % 2 else p for i, p in enumerate(parses)]
    empty = sum(p.count == 0 for p in parses[1::2])
    assert scene_scores(half, truth, known.family).count_accuracy == pytest.approx((30 + empty) / 60)
    plates = sum(o.identity == "crockery/plate" for p in parses for o in p.objects)
    named = scene_scores(each(identity="crockery/plate"), truth, known.family).identity_accuracy
    assert named == pytest.approx(plates / sum(p.count for p in parses))
    turned = each(quaternion_xyzw=(0.0, 0.0, 1.0, 0.0))
    assert (scene_scores(turned, truth, known.family).rotation_error_degrees or 0) > 30
    moved = [replace(p, objects=tuple(map(aside, p.objects))) for p in parses]
    assert scene_scores(moved, truth, known.family).position_error_m == pytest.approx(0.02, abs=1e-5)


def test_scenes_come_back_by_their_seed_and_carry_the_noise_that_the_model_expects(known):
    batch = known.sample(40, 5)
    assert torch.equal(batch.objects.position, known.sample(40, 5).objects.position)
    assert not torch.equal(batch.objects.position, known.sample(40, 6).objects.position)
    clean, noisy = (
        np.stack(images) for images in (render_images(batch, known.family), known.noisy_images(batch, 5))
    )
    inner = (clean > 0.35) & (clean < 0.65)
    assert (noisy - clean)[inner].std() == pytest.approx(0.1, rel=0.03)
    large = np.stack(render_images(batch, known.family, 3))
    assert large.shape == (40, 96, 96, 3)
    assert np.abs(large.reshape(40, 32, 3, 32, 3, 3).mean((2, 4)) - clean).mean() < 0.01


def test_foreign_images_are_images_and_none_is_in_distribution():
    out_of_distribution = out_of_distribution_for(TableTopSettings.model_validate(FAMILY))
    assert out_of_distribution.keys() >= {
        "primitives",
        "digits",
        "colour gradients",
        "one colour",
        "photograph",
    }
    assert "crockery" not in out_of_distribution
    for kind, make in out_of_distribution.items():
        images = make(4, np.random.default_rng(0))
        assert images is not None
        assert len(images) == 4
        for image in images:
            assert image.ndim in (2, 3), kind
            assert np.min(image) >= 0, kind
            assert np.max(image) <= 1, kind


def test_other_objects_stand_on_the_table_and_there_is_always_one():
    settings = TableTopSettings.model_validate(FAMILY | {"kinds": OTHER_OBJECTS["primitives"]})
    family = build_family(settings)
    objects = family.sample(30, torch.Generator().manual_seed(0)).scene.objects
    first = family.library.first_vertex
    for b, n in (objects.asset >= 0).nonzero().tolist():
        kind = int(objects.asset[b, n])
        vertices = family.library.vertices[first[kind] : first[kind + 1]]
        placed = vertices @ objects.rotation[b, n].T + objects.position[b, n]
        assert placed[:, 2].min() == pytest.approx(0, abs=1e-6)
    empty = settings.model_copy(update={"kinds": ("crockery/mug",), "count_weights": (1.0, 1e-6)})
    images = out_of_distribution_for(empty)["primitives"](20, np.random.default_rng(1))
    assert images is not None
    coloured = np.ptp(np.stack(images), axis=-1) > 0.45
    assert (coloured.sum((1, 2)) > 0).mean() > 0.5


def test_a_3d_model_is_examined(monkeypatch):
    monkeypatch.setattr(infer, "TIMED_ALONE", 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parser = SceneParser(LoadedModel("untrained", Air3D(SETTINGS).eval(), DOCUMENT))
    rows = list(benchmark_infer(parser, 40, "shipped"))
    assert rows[0].images == "table_top"
    assert rows[0].number == 40
    assert 0 <= (rows[0].count_accuracy or 0) <= 1
    assert (rows[0].milliseconds_alone or 0) > 0
    assert all(row.number == 2 and row.count_accuracy is None and row.warned == 0 for row in rows[1:])
    assert SceneSuite.from_document(DOCUMENT).name == "table_top"
