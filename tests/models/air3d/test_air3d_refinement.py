"""Scenes moved uphill explain their images better, are nearer to the truth, and stay what they are."""

import math

import pytest
import torch
from small_air3d import BEFORE_IT, SINGLE, clean, drawn, fresh_model, noisy, rendered, same, seeded, table
from torch.nn.functional import normalize

from inverse_graphics.geometry.transforms import matrix_from_rotation_vector
from inverse_graphics.models.air3d.elbo import ElboObjective, ElboSettings
from inverse_graphics.models.air3d.search import refine
from inverse_graphics.packs.symmetry import symmetric_angle

FAMILIES = {"table": table(counts=(1, 1, 1)), "floating": SINGLE}


@pytest.fixture(params=list(FAMILIES.values()), ids=list(FAMILIES))
def model(request):
    return fresh_model(request.param)


def direction(*shape, seed):
    return normalize(torch.randn(*shape, generator=seeded(seed)), dim=-1)


def put_off(scenes, degrees, metres):
    """Turned by this angle about any axis, or either way about the upright one; and moved."""
    slots, angle = scenes.asset.shape, math.radians(degrees)
    if scenes.orientation.dim() == 2:
        orientation = scenes.orientation + angle * direction(*slots, 1, seed=5)[..., 0]
    else:
        orientation = scenes.orientation @ matrix_from_rotation_vector(angle * direction(*slots, 3, seed=5))
    return scenes.replace(
        orientation=orientation, position=scenes.position + metres * direction(*slots, 2, seed=6)
    )


def explained(model, images, scenes):
    return model.observation_model.log_prob(images, rendered(model, scenes))


@pytest.mark.parametrize("steps", [1, 8])
def test_no_image_is_explained_worse_than_before(model, steps):
    """Wherever a scene begins: at the truth, where there is little to gain, about it, or anywhere."""
    truth = drawn(model.space, 24, seed=2)
    images = noisy(model, truth)
    nearly = put_off(truth, 20, 0.01)
    anywhere = drawn(model.space, 24, seed=3)
    gains = [
        explained(model, images, refine(scenes, images, model, steps)) - explained(model, images, scenes)
        for scenes in (truth, nearly, anywhere)
    ]
    for gain in gains:
        assert (gain >= 0).all()
    assert (gains[0] == 0).any()  # what would have become worse is given back
    assert (gains[1] > 0).any()
    assert (gains[2] > 0).any()


def test_what_explains_its_image_exactly_is_given_back(model):
    truth = drawn(model.space, 12, seed=2)
    assert same(refine(truth, clean(model, truth), model, 4), truth)


@pytest.mark.parametrize("kind", ["primitives/cube", "primitives/cylinder"])
def test_floating_objects_find_their_rotation_from_near(kind):
    """From 15° and 2 mm off, modulo symmetry, in noise of a twentieth."""
    model = fresh_model(SINGLE | {"kinds": [kind], "image_size": 64}, sigma=0.05)
    (symmetry,) = model.space.family.symmetries
    truth = drawn(model.space, 24, seed=4)
    start = put_off(truth, 15, 0.002)

    def error(scenes):
        angle = symmetric_angle(truth.orientation[:, 0], scenes.orientation[:, 0], symmetry)
        return float(angle.rad2deg().median()), float(
            (scenes.position - truth.position).norm(dim=-1).median()
        )

    assert error(start)[0] > 14
    degrees, metres = error(refine(start, noisy(model, truth), model, 16))
    assert degrees < 2
    assert metres < 0.0005


def test_objects_on_a_table_find_their_place_and_visible_ones_their_yaw():
    """A pan's handle is always seen, a mug's is not."""
    before = BEFORE_IT | {"distance_m": 0.9}
    kinds, reach = ("pan", "mug"), (0.06, 0.06)
    model = fresh_model(table(before, kinds, counts=(0, 1), size=64, reach_m=reach), sigma=0.05)
    truth = drawn(model.space, 24, seed=4)
    result = refine(put_off(truth, 15, 0.004), noisy(model, truth), model, 16)
    degrees = (result.orientation - truth.orientation).abs().rad2deg()
    assert float(degrees[truth.asset == 0].median()) < 2
    assert float((degrees < 5).float().mean()) > 0.6
    assert float((result.position - truth.position).norm(dim=-1).median()) < 0.001


def test_counts_kinds_and_cameras_stay_and_rotations_are_rotations(model):
    truth = drawn(model.space, 24, seed=2)
    start = put_off(truth, 15, 0.004)
    kept = start.map(torch.clone)
    result = refine(start, noisy(model, truth), model, 5)
    assert same(start, kept)  # and what was given is not written to
    assert torch.equal(result.asset, truth.asset)
    assert torch.equal(result.orbit, truth.orbit)
    empty, moved = truth.asset < 0, result.position != start.position
    assert torch.equal(result.position[empty], start.position[empty])
    assert torch.equal(result.orientation[empty], start.orientation[empty])
    assert moved[~empty].any()
    identity = torch.eye(3).expand(*truth.asset.shape, 3, 3)
    turned = result.rotation
    torch.testing.assert_close(turned @ turned.transpose(-1, -2), identity, rtol=0, atol=1e-5)
    assert (torch.linalg.det(turned) > 0).all()
    assert not any(part.requires_grad for part in vars(result).values())


def test_places_stay_within_reach(model):
    """Of images whose objects lie beyond it, everything is drawn to the edge and no further."""
    reach = model.space.reach
    inside = drawn(model.space, 16, seed=2)
    edge = inside.replace(position=reach * torch.ones_like(inside.position))
    images = clean(model, edge.replace(position=1.15 * edge.position))
    result = refine(edge.replace(position=0.98 * edge.position), images, model, 12)
    assert (result.position.abs() <= reach).all()
    assert (result.position == reach).any()


def test_without_steps_nothing_changes(model):
    start = drawn(model.space, 6, seed=2)
    assert refine(start, noisy(model, drawn(model.space, 6, seed=3)), model, 0) is start


def test_the_bound_refines_as_its_settings_say(model):
    losses = [
        float(objective.loss(objective.batch(6, seeded(1)), 0, seeded(2))[1]["wake"])
        for objective in (ElboObjective(model, ElboSettings(refine_steps=steps)) for steps in (0, 2, 2))
    ]
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)
    assert losses[1] == pytest.approx(losses[2])
