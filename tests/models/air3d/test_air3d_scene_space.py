"""The scene space: pixels and positions, cameras, and count priors."""

import math

import pytest
import torch
from small_air3d import ANYWHERE, BEFORE_IT, FAMILIES, SINGLE, drawn, seeded, space_of, table

from inverse_graphics.families.family import IMPOSSIBLE
from inverse_graphics.scene.camera_batch import project


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES.keys())
def space(request):
    return space_of(request.param).double()


def some_cameras(space, count, seed=0):
    share = torch.rand(count, 3, generator=seeded(seed), dtype=torch.float64)
    orbit = space.orbit_low + (space.orbit_high - space.orbit_low) * share
    return space.cameras(orbit, space.K.expand(count, 3, 3))


def test_places_come_back_from_the_pixels_that_show_them(space):
    camera = some_cameras(space, 200)
    place = space.reach * (2 * torch.rand(200, 2, generator=seeded(1), dtype=torch.float64) - 1)
    pixel = space.pixel_from_plane(place[:, None], camera)[:, 0]
    torch.testing.assert_close(pixel, project(space.world(place)[:, None], camera)[0][:, 0])
    torch.testing.assert_close(space.plane_from_pixel(pixel, camera), place)
    torch.testing.assert_close(space.plane(space.world(place)), place)


def test_any_pixel_of_the_picture_shows_the_place_found_for_it(space):
    camera = some_cameras(space, 200)
    pixel = camera.width * torch.rand(200, 2, generator=seeded(2), dtype=torch.float64)
    place = space.plane_from_pixel(pixel, camera)
    torch.testing.assert_close(space.pixel_from_plane(place[:, None], camera)[:, 0], pixel)


@pytest.mark.parametrize("elevation", [5.0, 10.0, 45.0, 90.0])
def test_rays_that_never_meet_the_table_end_far_off_with_finite_slopes(elevation):
    space = space_of(table(BEFORE_IT | {"elevation_degrees": elevation})).double()
    camera = space.cameras(space.orbit_low[None], space.K[None])
    horizon = camera.K[0, 1, 2] - camera.K[0, 1, 1] * math.tan(math.radians(elevation))
    rows = [horizon, horizon + 1e-9, -1e5, 1e5, 0.0] if elevation < 90 else [-1e5, 1e5, 0.0]
    pixel = torch.tensor([[16.0, float(row)] for row in rows], dtype=torch.float64, requires_grad=True)
    place = space.plane_from_pixel(pixel, camera[torch.zeros(len(rows), dtype=torch.int64)])
    (slope,) = torch.autograd.grad(place.square().sum(), pixel)
    assert place.isfinite().all()
    assert slope.isfinite().all()
    if elevation < 90:
        assert (place[:2, 1] > space.reach[1]).all()  # beside the plane: far beyond the table, ahead


def test_what_is_free_of_the_orbit_is_put_in_its_place():
    space = space_of(table(ANYWHERE | {"elevation_degrees": 40.0}))
    free = torch.tensor([[-1.5, 1.4], [-1.0, 1.5]])
    expected = torch.tensor([[-1.5, math.radians(40), 1.4], [-1.0, math.radians(40), 1.5]])
    torch.testing.assert_close(space.orbit(free), expected)
    assert space_of(SINGLE).free.numel() == 0


@pytest.mark.parametrize(
    ("counts", "smallest"), [((1, 1, 2), 0), ((0, 1, 3), 1), ((0, 0, 1), 2), ((1, 0, 1), 0)]
)
def test_counts_have_the_familys_probabilities(counts, smallest):
    space = space_of(table(counts=counts))
    assert space.smallest_count == smallest
    expected = torch.tensor(counts) / sum(counts)
    torch.testing.assert_close(space.log_count_prior.exp(), expected)
    assert (space.log_count_prior[expected == 0] == IMPOSSIBLE).all()


def test_scenes_pass_through_the_scene_space_unchanged(space):
    space = space.float()
    sample = space.family.sample(50, seeded())
    scene_latents = drawn(space, 50)
    again = space.scene(scene_latents)
    there = sample.scene.objects.asset >= 0
    assert torch.equal(again.objects.asset, sample.scene.objects.asset)
    for name in ("position", "rotation", "scale", "tint"):
        expected = getattr(sample.scene.objects, name)
        torch.testing.assert_close(getattr(again.objects, name)[there], expected[there])
    torch.testing.assert_close(again.camera.T_world_camera, sample.scene.camera.T_world_camera)
    assert torch.equal(scene_latents.counts, sample.latents.counts)
