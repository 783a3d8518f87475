"""Supervision: the orders in which labels are told."""

from itertools import permutations

import pytest
import torch
from small_air3d import FAMILIES, drawn, fresh_model, loud_model, seeded, stage_of, table

from inverse_graphics.models.air3d import supervised
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.staged import draw_prefixes
from inverse_graphics.models.air3d.supervised import (
    SupervisedObjective,
    SupervisedSettings,
    as_matched,
    by_kind,
)

THREE = table(kinds=("glass", "mug"), counts=(1, 1, 1, 2))


def objects_of(scenes, image):
    """The objects of one scene, in order, as tuples that can be compared."""
    return [
        (int(scenes.asset[image, i]), *scenes.position[image, i].tolist(), float(scenes.turn[image, i].sum()))
        for i in range(int(scenes.counts[image]))
    ]


def test_labels_are_told_kind_by_kind_and_nearest_first_within_one():
    scenes = drawn(stage_of(THREE), 60)
    ordered = by_kind(scenes)
    moved = 0
    for image in range(60):
        expected = sorted(objects_of(scenes, image), key=lambda one: one[0])
        assert objects_of(ordered, image) == expected
        moved += expected != objects_of(scenes, image)
    assert moved > 10
    assert torch.equal(ordered.counts, scenes.counts)
    assert torch.equal(ordered.orbit, scenes.orbit)


def test_labels_are_matched_with_what_the_network_finds_by_the_least_total_distance(monkeypatch):
    """Whatever it finds: here, the objects of other scenes."""
    model = fresh_model(THREE)
    scenes, other = (drawn(model.stage, 40, seed) for seed in (0, 1))
    found = other.position
    monkeypatch.setattr(supervised, "inferred_scenes", lambda inference: other)
    images = draw_prefixes(scenes, model.stage, model.engine).images[:, -1]
    matched = as_matched(model, images, scenes)
    moved = 0
    for image, count in enumerate(scenes.counts.tolist()):

        def total(scenes, order, image=image, count=count):
            off = found[image, :count] - scenes.position[image, list(order)]
            return float(off.norm(dim=-1).sum())

        asis, orders = range(count), permutations(range(count))
        least = min(total(scenes, order) for order in orders)
        assert total(matched, asis) == pytest.approx(least, abs=1e-5)
        assert sorted(objects_of(matched, image)) == sorted(objects_of(scenes, image))
        moved += total(scenes, asis) > least + 0.01
    assert moved > 5
    assert torch.equal(matched.counts, scenes.counts)


@pytest.mark.parametrize("family", [THREE, *FAMILIES.values()], ids=["three", *FAMILIES])
@pytest.mark.parametrize("order", ["label", "set"])
def test_the_loss_is_minus_the_density_of_labels_in_that_order(family, order):
    model = loud_model(family)
    objective = SupervisedObjective(model, SupervisedSettings(order=order))
    batch = objective.batch(12, seeded(1))
    assert torch.equal(batch.seen_orbit, batch.scenes.orbit)
    with torch.no_grad():
        loss, watched = objective.loss(batch, 0, seeded(2))
        ordered = by_kind(batch.scenes) if order == "label" else as_matched(model, batch.images, batch.scenes)
        prefixes = draw_prefixes(ordered, model.stage, model.engine)
        expected = log_posterior(model, batch.images, ordered, prefixes)
    torch.testing.assert_close(loss, -expected.total.mean())
    torch.testing.assert_close(watched["log_q_objects"], expected.objects.mean())
