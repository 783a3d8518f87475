"""Failures of inferred scenes: their order and their words, against a slow reference."""

import itertools

import pytest
import torch

from inverse_graphics.geometry.transforms import matrix_from_yaw
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.metrics.scene_metrics import evaluate_scenes
from inverse_graphics.packs.symmetry import Symmetry
from inverse_graphics.studies.gallery import Failure, Failures

NAMES = ("crockery/plate", "crockery/mug", "crockery/glass")
SYMMETRIES = tuple(Symmetry.none() for _ in NAMES)
NEAR = 0.1


def scenes(asset, position, yaw=None) -> PredictedScenes:
    asset = torch.as_tensor(asset)
    position = torch.as_tensor(position, dtype=torch.float64)
    yaw = torch.zeros(asset.shape, dtype=torch.float64) if yaw is None else yaw
    flat = torch.cat([position, torch.zeros(*asset.shape, 1, dtype=torch.float64)], -1)
    poses = torch.eye(4, dtype=torch.float64).expand(len(asset), 4, 4)
    return PredictedScenes((asset >= 0).sum(-1), asset, flat, matrix_from_yaw(yaw), poses)


def random_pair(seed: int, batch: int = 60, slots: int = 3) -> tuple[PredictedScenes, PredictedScenes]:
    """True scenes, and others that are like them more or less."""
    g = torch.Generator().manual_seed(seed)
    count = torch.randint(0, slots + 1, (batch, 1), generator=g)
    there = torch.arange(slots) < count
    asset = torch.randint(0, len(NAMES), (batch, slots), generator=g)
    position = 0.4 * torch.rand(batch, slots, 2, generator=g).double()
    noise = 0.05 * torch.randn(batch, slots, 2, generator=g)
    other = torch.randint(0, len(NAMES), (batch, slots), generator=g)
    seen = torch.where(torch.rand(batch, slots, generator=g) < 0.8, asset, other)
    kept = there ^ (torch.rand(batch, slots, generator=g) < 0.1)
    return scenes(asset.where(there, -1), position), scenes(seen.where(kept, -1), position + noise)


def best_pairs(truth: PredictedScenes, seen: PredictedScenes, b: int) -> dict[int, int]:
    """All pairings tried: of those with the most pairs within reach, the one of the smallest sum."""
    own, found = ([s for s, k in enumerate(x.asset[b].tolist()) if k >= 0] for x in (truth, seen))
    best: tuple[int, float, dict[int, int]] = (0, 0.0, {})
    for size in range(1, min(len(own), len(found)) + 1):
        for mine, theirs in itertools.product(
            itertools.combinations(own, size), itertools.permutations(found, size)
        ):
            pairs = dict(zip(mine, theirs, strict=True))
            far = [distance(truth, seen, b, i, j) for i, j in pairs.items()]
            if max(far) <= NEAR and (-size, sum(far)) < (-best[0], best[1] if best[0] == size else 1e9):
                best = (size, sum(far), pairs)
    return best[2]


def distance(truth: PredictedScenes, seen: PredictedScenes, b: int, i: int, j: int) -> float:
    return float((truth.position[b, i] - seen.position[b, j]).norm())


def reference_key(truth: PredictedScenes, seen: PredictedScenes, b: int) -> tuple[int, float]:
    count, inferred = int(truth.count[b]), int(seen.count[b])
    if count != inferred:
        return 0, -abs(count - inferred)
    pairs = best_pairs(truth, seen, b)
    right = [i for i, j in pairs.items() if truth.asset[b, i] == seen.asset[b, j]]
    if len(right) < count:
        return 1, -(count - len(right))
    far = [distance(truth, seen, b, i, j) for i, j in pairs.items()]
    return 2, -max(far, default=0.0)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_is_that_of_the_reference(seed):
    truth, seen = random_pair(seed)
    log_likelihood = torch.randn(len(truth.count), generator=torch.Generator().manual_seed(seed))
    failures = Failures.from_scenes(seen, truth, SYMMETRIES, NAMES, NEAR)
    keys = [(*reference_key(truth, seen, b), float(log_likelihood[b])) for b in range(len(truth.count))]
    assert failures.worst_first(log_likelihood) == sorted(range(len(keys)), key=keys.__getitem__)
    assert failures.counts() == {kind: sum(key[0] == kind for key in keys) for kind in Failure}
    assert {key[0] for key in keys} == {0, 1, 2}


def test_as_many_counts_are_wrong_as_the_metrics_say():
    truth, seen = random_pair(9)
    accuracy = evaluate_scenes(seen, truth, SYMMETRIES, NAMES, NEAR).figure("count_accuracy").value
    wrong = Failures.from_scenes(seen, truth, SYMMETRIES, NAMES, NEAR).counts()[Failure.COUNT]
    assert accuracy is not None
    assert wrong == round((1 - accuracy) * len(truth.count)) > 0


def test_a_perfect_scene_is_no_failure_whatever_its_order():
    truth, _ = random_pair(3)
    back = torch.arange(truth.asset.shape[1]).flip(0)
    swapped = scenes(truth.asset[:, back], truth.position[:, back, :2])
    failures = Failures.from_scenes(swapped, truth, SYMMETRIES, NAMES, NEAR)
    assert failures.counts()[Failure.NONE] == len(truth.count)
    assert failures.severity.max() < 1e-9


def test_words():
    far = 10.0
    truth = scenes(
        [[0, 1, 1], [2, -1, -1], [1, 1, -1], [-1, -1, -1], [1, -1, -1]],
        [[[0, 0], [far, 0], [0, far]], [[0, 0]] * 3, [[0, 0], [far, 0], [0, 0]], [[0, 0]] * 3, [[0, 0]] * 3],
    )
    yaw = torch.zeros(5, 3, dtype=torch.float64)
    yaw[4] = torch.pi / 6
    seen = scenes(
        [[0, 2, -1], [2, 2, -1], [1, 0, -1], [0, 0, -1], [1, -1, -1]],
        [
            [[0.003, 0], [far, 0.05], [0, 0]],
            [[0, 0], [far, 0], [0, 0]],
            [[0, 0], [far, far], [0, 0]],
            [[0, 0]] * 3,
            [[0, 0.02]] * 3,
        ],
        yaw,
    )
    failures = Failures.from_scenes(seen, truth, SYMMETRIES, NAMES, NEAR)
    lines = [[failures.title(b), failures.true_objects(b), *failures.notes(b)] for b in range(5)]
    assert lines == [
        ["2 inferred, 3 true", "2x mug, plate", "missed: mug", "wrong kind: mug as glass", "50 mm off"],
        ["2 inferred, 1 true", "glass", "spurious: glass", "0 mm off"],
        ["wrong kind", "2x mug", "missed: mug", "spurious: plate", "0 mm off"],
        ["2 inferred, 0 true", "nothing", "spurious: 2x plate"],
        ["correct count and kinds", "mug", "20 mm off, rotated by 30°"],
    ]
