"""Supervision: the orders of labels."""

from itertools import permutations

import pytest
import torch
from small_air3d import FAMILIES, SINGLE, clean, drawn, fresh_model, loud_model, seeded, space_of, table
from torch.autograd import gradcheck

from inverse_graphics.distributions.rotations import RotationMixture
from inverse_graphics.distributions.sampler import PointEstimate
from inverse_graphics.geometry.transforms import matrix_from_rotation_vector, random_rotations
from inverse_graphics.models.air3d import supervised
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.scene_latents import draw_prefixes
from inverse_graphics.models.air3d.supervised import (
    SupervisedObjective,
    SupervisedSettings,
    as_matched,
    by_kind,
    shuffled,
)
from inverse_graphics.observation.observation import Observation

THREE = table(kinds=("glass", "mug"), counts=(1, 1, 1, 2))


def objects_of(scenes, image):
    """The objects of one scene, in order, as tuples that can be compared."""
    return [
        (
            int(scenes.asset[image, i]),
            *scenes.position[image, i].tolist(),
            float(scenes.orientation[image, i].sum()),
        )
        for i in range(int(scenes.counts[image]))
    ]


def test_labels_are_reported_kind_by_kind_and_nearest_first_within_one():
    scenes = drawn(space_of(THREE), 60)
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
    scenes, other = (drawn(model.space, 40, seed) for seed in (0, 1))
    found = other.position
    monkeypatch.setattr(supervised, "sampled_latents", lambda inference: other)
    images = clean(model, scenes)
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
@pytest.mark.parametrize("order", ["label", "shuffled", "set"])
def test_the_loss_is_minus_the_density_of_labels_in_that_order(family, order):
    model = loud_model(family)
    objective = SupervisedObjective(model, SupervisedSettings(order=order))
    batch = objective.batch(12, seeded(1))
    assert torch.equal(batch.seen_orbit, batch.scenes.orbit)
    with torch.no_grad():
        loss, watched = objective.loss(batch, 0, seeded(2))
        ordered = (
            as_matched(model, batch.observation, batch.scenes) if order == "set" else by_kind(batch.scenes)
        )
        prefixes = draw_prefixes(ordered, model.space, model.engine)
        expected = log_posterior(model, batch.observation, ordered, prefixes)
    torch.testing.assert_close(loss, -expected.total.mean())
    torch.testing.assert_close(watched["log_q_objects"], expected.objects.mean())


def test_shuffled_labels_are_reported_kind_by_kind_and_in_any_order_within_one():
    objective = SupervisedObjective(fresh_model(THREE), SupervisedSettings(order="shuffled"))
    scenes = objective.batch(600, seeded(3)).scenes
    nearest = SupervisedObjective(objective.model, SupervisedSettings()).batch(600, seeded(3)).scenes
    ordered, expected = by_kind(scenes), by_kind(nearest)
    pairs, moved = 0, 0
    for image in range(600):
        one, other = objects_of(ordered, image), objects_of(expected, image)
        assert sorted(one) == sorted(other)
        kinds = [kind for kind, *_ in one]
        assert kinds == sorted(kinds)
        if len(kinds) == 2 and kinds[0] == kinds[1]:
            pairs, moved = pairs + 1, moved + (one != other)
    assert pairs > 40
    assert abs(moved / pairs - 0.5) < 4 * (0.25 / pairs) ** 0.5
    assert not torch.equal(ordered.position, expected.position)


def test_every_order_of_objects_is_as_likely():
    scenes = drawn(space_of(table(counts=(0, 0, 0, 1))), 1)
    many = scenes.repeat(6000)
    first = shuffled(many, seeded(1)).position[:, :, 0]
    orders = [
        (first == scenes.position[0, list(order), 0]).all(-1).float().mean()
        for order in permutations(range(3))
    ]
    assert torch.tensor(orders).sum() == pytest.approx(1)
    assert all(abs(float(share) - 1 / 6) < 4 * (5 / 36 / 6000) ** 0.5 for share in orders)


def rotated_by_symmetry(model, scenes, seed):
    """The same scenes, each object turned by one of the rotations that leave it as it looks."""
    symmetry_group, log_symmetry_weight = (
        part[scenes.asset] for part in (model.space.symmetry_group, model.space.log_symmetry_weight)
    )
    which = torch.multinomial(log_symmetry_weight.exp().flatten(0, 1), 1, generator=seeded(seed)).reshape(
        scenes.asset.shape
    )
    by = torch.take_along_dim(symmetry_group, which[..., None, None, None], dim=2)[:, :, 0]
    return scenes.replace(orientation=scenes.orientation @ by)


@torch.no_grad()
@pytest.mark.parametrize("modulo_symmetry", [True, False])
def test_labels_that_look_alike_are_one_only_modulo_symmetry(modulo_symmetry):
    model = loud_model(SINGLE)
    objective = SupervisedObjective(model, SupervisedSettings(modulo_symmetry=modulo_symmetry))
    batch = objective.batch(30, seeded(1))
    loss, _ = objective.loss(batch, 0, seeded(0))
    other, _ = objective.loss(batch.replace(scenes=rotated_by_symmetry(model, batch.scenes, 2)), 0, seeded(0))
    assert (abs(float(loss - other)) < 1e-3) == modulo_symmetry


@torch.no_grad()
def test_rotations_as_they_are_encoded_have_the_density_of_the_belief_itself():
    model = loud_model(SINGLE)
    space = model.space.without_symmetry()
    assert model.space.symmetry_group.shape[1] > 1
    assert space.symmetry_group.shape[1:] == (1, 3, 3)
    scenes = drawn(space, 20)
    images = clean(model, scenes)
    posterior = model.look(model.begin(images, PointEstimate()).state)
    asset, position, orientation = scenes.asset[:, 0], scenes.position[:, 0], scenes.orientation[:, 0]
    predicted = posterior.log_prob(asset, position, orientation, space)
    assert isinstance(posterior.orientation, RotationMixture)
    named = posterior.identity.gather(1, asset[:, None])[:, 0]
    turned = space.orientation_observable[asset] * posterior.orientation.log_prob(orientation)
    torch.testing.assert_close(
        predicted, named + posterior.position.log_prob(position) + turned, rtol=1e-4, atol=1e-3
    )
    assert not torch.allclose(
        predicted, posterior.log_prob(asset, position, orientation, model.space), atol=0.1
    )


def test_yaws_on_a_table_are_reported_alike_with_and_without_symmetry():
    model = loud_model(table())
    losses = []
    for modulo_symmetry in (True, False):
        objective = SupervisedObjective(model, SupervisedSettings(modulo_symmetry=modulo_symmetry))
        losses.append(objective.loss(objective.batch(12, seeded(1)), 0, seeded(0))[0])
    assert torch.equal(*losses)


def test_gradients_of_the_density_as_stated_are_its_finite_differences():
    model = fresh_model(SINGLE)
    space = model.space.without_symmetry().double()
    posterior = model.look(
        model.begin(Observation(torch.rand(3, 3, 32, 32, generator=seeded(1))), PointEstimate()).state
    )
    label = random_rotations((3,), seeded(2), torch.float64)
    logits, away, std = (
        torch.randn(*shape, generator=seeded(3)).double() for shape in ((3, 4), (3, 4, 3), (3, 4))
    )

    def log_prob(logits, away, log_std):
        orientation = RotationMixture(
            logits, label[:, None] @ matrix_from_rotation_vector(away), (0.2 * log_std - 0.5).exp()
        )
        seen = posterior._replace(orientation=orientation).visible_orientation(torch.tensor([0, 1, 2]), space)
        return seen.log_prob(label)

    assert gradcheck(log_prob, [part.requires_grad_() for part in (logits, away, std)])
