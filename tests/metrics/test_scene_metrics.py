"""Scene metrics against a slow reference that evaluates every pairing, and the laws they obey."""

import json
import math
from dataclasses import replace
from itertools import permutations
from time import perf_counter

import numpy as np
import pytest
import torch

from inverse_graphics.errors import SceneError
from inverse_graphics.families.registry import build_family
from inverse_graphics.families.table_top import TableTopSettings
from inverse_graphics.geometry.transforms import (
    matrix_from_rotation_vector,
    random_rotations,
    rigid_transform,
)
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.metrics.scene_metrics import evaluate_scenes
from inverse_graphics.packs.symmetry import Symmetry, generated_group, symmetric_angle

Z = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
QUARTERS = generated_group(
    [matrix_from_rotation_vector(0.5 * math.pi * axis) for axis in torch.eye(3).double()]
)
SYMMETRIES = (
    Symmetry.none(),
    Symmetry(generated_group([]), axis=Z),
    Symmetry(QUARTERS),
    Symmetry(generated_group([]), spherical=True),
)
NAMES = ("mug", "bowl", "cube", "sphere")
IMAGES, SLOTS = 60, 4


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def scenes(seed=0, images=IMAGES, slots=SLOTS, spread=0.12):
    """Crowded random scenes: at a match distance of 0.1 m many objects have several candidates."""
    generator = seeded(seed)
    asset = torch.randint(-1, len(NAMES), (images, slots), generator=generator)
    position = spread * torch.randn(images, slots, 3, generator=generator, dtype=torch.float64)
    camera = torch.randn(images, 3, generator=generator, dtype=torch.float64)
    pose = rigid_transform(random_rotations((images,), generator, torch.float64), camera)
    rotation = random_rotations((images, slots), generator, torch.float64)
    return PredictedScenes((asset >= 0).sum(-1), asset, position, rotation, pose)


def disturbed(truth, seed=1, turn=0.1, move=0.02, missing=0.15, wrong=0.1):
    """A prediction that is nearly right, its slots shuffled."""
    generator, shape = seeded(seed), truth.asset.shape
    vector = turn * torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    moved = truth.position + move * torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    asset = truth.asset.clone()
    other = torch.randint(len(NAMES), shape, generator=generator)
    asset = torch.where((torch.rand(shape, generator=generator) < wrong) & (asset >= 0), other, asset)
    asset[torch.rand(shape, generator=generator) < missing] = -1
    rotation = truth.rotation @ matrix_from_rotation_vector(vector)
    pose = rigid_transform(truth.T_world_camera[:, :3, :3], truth.T_world_camera[:, :3, 3] + 0.01)
    return shuffled(PredictedScenes((asset >= 0).sum(-1), asset, moved, rotation, pose), seed)


def shuffled(given, seed=2):
    order = torch.rand(given.asset.shape, generator=seeded(seed)).argsort(-1)
    position = given.position.take_along_dim(order[..., None], 1)
    rotation = given.rotation.take_along_dim(order[..., None, None], 1)
    return PredictedScenes(
        given.count, given.asset.gather(1, order), position, rotation, given.T_world_camera
    )


def evaluate(predicted, truth, **settings):
    return evaluate_scenes(predicted, truth, SYMMETRIES, NAMES, **settings)


def best_pairs(image, predicted, truth, cutoff):
    """All pairings of filled slots, by brute force: the most pairs, then the smallest sum of distances."""
    true = [i for i in range(truth.asset.shape[1]) if truth.asset[image, i] >= 0]
    ours = [i for i in range(predicted.asset.shape[1]) if predicted.asset[image, i] >= 0]

    def distance(i, j):
        return math.dist(truth.position[image, i].tolist(), predicted.position[image, j].tolist())

    padded = [*ours, *[None] * len(true)]
    best: tuple[int, float, list[tuple[int, int]]] = (0, 0.0, [])
    for chosen in permutations(padded, len(true)):
        pairs = [
            (i, j) for i, j in zip(true, chosen, strict=True) if j is not None and distance(i, j) <= cutoff
        ]
        candidate = (-len(pairs), sum(distance(i, j) for i, j in pairs), pairs)
        best = min(best, candidate, key=lambda entry: entry[:2])
    return best[2]


def reference(predicted, truth, cutoff=0.1, visible=None):
    """Every figure by loops."""
    true = ours = matched = right = 0
    distances: list[float] = []
    angles: list[float] = []
    by_kind: dict[str, list[float]] = {name: [] for name in NAMES}
    for image in range(len(truth.asset)):
        seen = [s for s in range(truth.asset.shape[1]) if truth.asset[image, s] >= 0]
        seen = [s for s in seen if visible is None or visible[image, s] > 0]
        true += len(seen)
        ours += int((predicted.asset[image] >= 0).sum())
        for i, j in best_pairs(image, predicted, truth, cutoff):
            if i not in seen:
                continue
            matched += 1
            distances.append(float((truth.position[image, i] - predicted.position[image, j]).norm()))
            kind = int(truth.asset[image, i])
            if kind == predicted.asset[image, j]:
                right += 1
                error = symmetric_angle(
                    truth.rotation[image, i], predicted.rotation[image, j], SYMMETRIES[kind]
                )
                by_kind[NAMES[kind]].append(math.degrees(error))
                angles += [math.degrees(error)] if NAMES[kind] != "sphere" else []
    return true, ours, matched, right, distances, angles, by_kind


def check(metrics, name, value, denominator):
    figure = metrics.figure(name)
    assert figure.denominator == denominator
    assert figure.value == (pytest.approx(value, abs=1e-9) if denominator else None)


def check_spread(metrics, name, errors):
    for end, share in (("median", 0.5), ("p90", 0.9)):
        check(metrics, f"{name}_{end}", float(np.quantile(errors, share)) if errors else None, len(errors))


@pytest.mark.parametrize("cutoff", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("nearly_right", [True, False])
def test_every_figure_equals_the_slow_reference(nearly_right, cutoff):
    truth = scenes(3)
    predicted = disturbed(truth) if nearly_right else scenes(4, slots=3)
    visible = torch.randint(0, 3, truth.asset.shape, generator=seeded(5))
    metrics = evaluate(predicted, truth, match_distance_m=cutoff, visible=visible, visible_width_m=0.5)
    for pixels, end in ((None, ""), (visible, "_visible")):
        true, ours, matched, right, distances, angles, by_kind = reference(predicted, truth, cutoff, pixels)
        check(metrics, f"recall{end}", matched / true, true)
        check(metrics, f"identity_of_all{end}", right / true, true)
        check(metrics, f"identity_of_matched{end}", right / max(matched, 1), matched)
        check_spread(metrics, f"position_error_m{end}", distances)
        check_spread(metrics, f"position_error_of_width{end}", [2 * d for d in distances])
        check_spread(metrics, f"rotation_error_deg{end}", angles)
        for name in ("mug", "bowl", "cube"):
            check_spread(metrics, f"rotation_error_deg{end}/{name}", by_kind[name])
        if pixels is None:
            check(metrics, "precision", matched / ours, ours)


def test_counts_are_confused_as_counted_one_by_one():
    truth, predicted = scenes(6), scenes(7, slots=3)
    metrics = evaluate(predicted, truth)
    pairs = list(zip(truth.count.tolist(), predicted.count.tolist(), strict=True))
    expected = [[pairs.count((true, ours)) for ours in range(5)] for true in range(5)]
    assert [list(row) for row in metrics.count_confusion] == expected
    check(metrics, "count_accuracy", sum(true == ours for true, ours in pairs) / IMAGES, IMAGES)
    for true, row in enumerate(expected):
        if sum(row):
            check(metrics, f"count_accuracy/{true}", row[true] / sum(row), sum(row))


def test_camera_errors_equal_numpy():
    truth, predicted = scenes(8), scenes(9)
    metrics = evaluate(predicted, truth)
    first, second = truth.T_world_camera.numpy(), predicted.T_world_camera.numpy()
    cosine = (first[:, :3, 2] * second[:, :3, 2]).sum(-1)
    check_spread(metrics, "camera_direction_error_deg", list(np.degrees(np.arccos(cosine))))
    check_spread(
        metrics, "camera_position_error_m", list(np.linalg.norm(first[:, :3, 3] - second[:, :3, 3], axis=-1))
    )


def test_a_perfect_prediction_has_no_error_and_misses_nothing():
    truth = scenes()
    for name, value in evaluate(shuffled(truth), truth, visible_width_m=1.0).flat().items():
        assert value == pytest.approx(0 if "error" in name else 1, abs=1e-6), name


def test_the_order_of_objects_changes_nothing():
    truth = scenes()
    predicted = disturbed(truth)
    expected = evaluate(predicted, truth).to_json()
    assert close(evaluate(shuffled(predicted, 5), shuffled(truth, 6)).to_json(), expected)
    assert not close(evaluate(disturbed(truth, seed=9), truth).to_json(), expected)


def test_symmetries_of_objects_change_nothing_and_other_rotations_do():
    truth = scenes(slots=2, spread=1.0)
    predicted = disturbed(truth)
    turn = matrix_from_rotation_vector(1.234 * Z)
    free = random_rotations((), seeded(7), torch.float64)
    unseen = torch.stack([torch.eye(3).double(), turn, QUARTERS[7], free])
    rotated = replace(predicted, rotation=predicted.rotation @ unseen[predicted.asset])
    assert close(evaluate(rotated, truth).to_json(), evaluate(predicted, truth).to_json())
    seen = replace(predicted, rotation=predicted.rotation @ turn)
    assert not close(evaluate(seen, truth).to_json(), evaluate(predicted, truth).to_json())


def close(first, second):
    """Whether two JSON documents agree to rounding; rotation errors near 0 are only good to 1e-6 degrees."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(close(first[key], second[key]) for key in first)
    return first == (pytest.approx(second, abs=1e-6) if isinstance(second, float) else second)


def test_a_spurious_object_costs_precision_and_count_and_nothing_else():
    truth = scenes(slots=2, spread=1.0)
    pad = {"asset": 0, "position": 50.0, "rotation": 0.0}
    more = {
        name: torch.cat([getattr(truth, name), torch.full_like(getattr(truth, name)[:, :1], value)], 1)
        for name, value in pad.items()
    }
    metrics = evaluate(replace(truth, count=truth.count + 1, **more), truth)
    true = int(truth.count.sum())
    check(metrics, "recall", 1, true)
    check(metrics, "identity_of_all", 1, true)
    check(metrics, "precision", true / (true + IMAGES), true + IMAGES)
    check(metrics, "count_accuracy", 0, IMAGES)


def test_what_could_not_be_counted_is_none_and_not_logged():
    truth = scenes()
    nothing = replace(truth, asset=torch.full_like(truth.asset, -1), count=torch.zeros_like(truth.count))
    metrics = evaluate(nothing, truth)
    check(metrics, "recall", 0, int(truth.count.sum()))
    check(metrics, "precision", None, 0)
    check_spread(metrics, "rotation_error_deg", [])
    assert "precision" not in metrics.flat()
    assert "rotation_error_deg_median" not in metrics.flat()
    assert metrics.flat()["identity_of_all"] == 0


@pytest.mark.parametrize(("true", "ours"), [(0, 3), (3, 0), (0, 0)])
def test_batches_without_slots_are_scenes_without_objects(true, ours):
    metrics = evaluate(scenes(1, slots=ours), scenes(0, slots=true))
    assert metrics.figure("count_accuracy").denominator == IMAGES


def test_people_read_every_figure_with_its_denominator_and_programs_read_json():
    truth = scenes()
    metrics = evaluate(disturbed(truth), truth)
    lines = metrics.summary_lines()
    assert any(line.startswith("count right: ") and line.endswith("(60 images)") for line in lines)
    for figure, line in zip(metrics.figures, lines, strict=False):
        assert line.startswith(figure.label)
        assert f"({figure.denominator:,} {figure.of})" in line
    document = json.loads(json.dumps(metrics.to_json(), allow_nan=False))
    assert document["figures"]["recall"]["denominator"] == int(truth.count.sum())
    assert sum(map(sum, document["count_confusion_true_by_inferred"])) == IMAGES


def test_a_familys_scenes_are_compared_as_they_are():
    family = build_family(TableTopSettings())
    scene = family.sample(50, seeded()).scene
    truth = PredictedScenes.from_batch(scene)
    assert torch.equal(truth.asset, scene.objects.asset)
    assert torch.equal(truth.T_world_camera, scene.camera.T_world_camera)
    flat = evaluate_scenes(truth, truth, family.symmetries, family.kinds).flat()
    assert flat["count_accuracy"] == flat["identity_of_all"] == flat["precision"] == 1
    assert flat["rotation_error_deg_p90"] < 0.1


def test_two_thousand_images_take_a_moment():
    truth = scenes(images=2000)
    start = perf_counter()
    evaluate(disturbed(truth), truth)
    assert perf_counter() - start < 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": torch.zeros(IMAGES, dtype=torch.int64)}, "count: differs"),
        ({"asset": torch.zeros(IMAGES, dtype=torch.int64)}, "asset: got 1 dimensions"),
        (
            {"position": torch.zeros(IMAGES, SLOTS, 2)},
            r"position: got shape \(60, 4, 2\), expected \(60, 4, 3\)",
        ),
        ({"position": torch.full((IMAGES, SLOTS, 3), math.nan)}, "position: not finite"),
        ({"T_world_camera": torch.full((IMAGES, 4, 4), math.inf)}, "T_world_camera: not finite"),
        ({"asset": torch.full((IMAGES, SLOTS), 4), "count": torch.full((IMAGES,), SLOTS)}, "got kind 4"),
    ],
)
def test_what_cannot_be_compared_is_one_line(change, message):
    truth = scenes()
    with pytest.raises(SceneError, match=message):
        evaluate(replace(truth, **change), truth)


def test_inputs_of_different_lengths_are_refused():
    truth = scenes()
    with pytest.raises(SceneError, match="got 5 inferred scenes, expected 60"):
        evaluate(scenes(images=5), truth)
    with pytest.raises(SceneError, match="visible: got shape"):
        evaluate(truth, truth, visible=torch.ones(IMAGES, 1))
    with pytest.raises(SceneError, match="got 4 symmetries"):
        evaluate_scenes(truth, truth, SYMMETRIES, NAMES[:2])
