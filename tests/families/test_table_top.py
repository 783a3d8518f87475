"""Table-top scenes: stated distributions, nothing cuts into anything, order of depth, settings."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.optimize import linprog
from scipy.stats import chisquare, kstest

from inverse_graphics.errors import AssetError, SceneError
from inverse_graphics.families.table_top import TableTop, TableTopSettings
from inverse_graphics.geometry.transforms import matrix_from_yaw
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.packs.footprint import Footprints
from inverse_graphics.scene.camera_batch import project

MUG, PAN = 2, 4


def family(**settings):
    return TableTop.build(TableTopSettings(**settings))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def default():
    return family()


@pytest.fixture(scope="module")
def sample(default):
    return default.sample(8000, seeded())


def world_vertices(family, objects, b, n):
    """All vertices of an object, in the world, (V, 3)."""
    library, asset = family.library, int(objects.asset[b, n])
    start, stop = library.first_vertex[asset : asset + 2].tolist()
    vertices = library.vertices[start:stop] * objects.scale[b, n]
    return (vertices @ objects.rotation[b, n].T + objects.position[b, n]).double().numpy()


def a_plane_parts(first, second):
    """Whether some plane separates two sets of points, by a linear programme in which 1 is a millimetre."""
    rows = np.concatenate([np.c_[first, np.ones(len(first))], -np.c_[second, np.ones(len(second))]])
    return linprog(np.zeros(4), rows, -1e-3 * np.ones(len(rows)), bounds=(-10, 10)).status == 0


def parted(family, objects, scenes):
    return [
        a_plane_parts(world_vertices(family, objects, b, i), world_vertices(family, objects, b, j))
        for b in scenes
        for i in range(family.max_objects)
        for j in range(i)
        if objects.asset[b, i] >= 0
    ]


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (0, 1, 0, 3), (2, 1)])
def test_counts_are_as_stated_although_crowded_scenes_are_harder_to_place(weights):
    made = family(count_weights=weights)
    counts = np.bincount(made.sample(6000, seeded(1)).latents.counts, minlength=len(weights))
    expected = 6000 * np.array(made.count_probabilities)
    possible = expected > 0
    assert (counts[~possible] == 0).all()
    assert chisquare(counts[possible], expected[possible]).pvalue > 1e-3


def test_kinds_are_equally_frequent_and_independent(sample):
    asset = sample.scene.objects.asset
    assert chisquare(np.bincount(asset[asset >= 0], minlength=5)).pvalue > 1e-3
    pairs = asset[sample.latents.counts == 2][:, :2].sort(dim=1).values
    same = int((pairs[:, 0] == pairs[:, 1]).sum())
    assert abs(same - len(pairs) / 5) < 4 * math.sqrt(len(pairs) * 0.16)


def test_without_repeats_all_kinds_of_a_scene_differ_and_all_choices_are_equally_frequent():
    asset = family(repeats=False, count_weights=(0, 0, 1)).sample(4000, seeded(2)).scene.objects.asset
    chosen = asset.sort(dim=1).values
    assert (chosen[:, 0] < chosen[:, 1]).all()
    pairs = np.unique(chosen.numpy(), axis=0, return_counts=True)[1]
    assert len(pairs) == 10
    assert chisquare(pairs).pvalue > 1e-3


def test_without_repeats_a_scene_may_hold_every_kind_once():
    kinds = ("crockery/mug", "crockery/glass")
    asset = (
        family(kinds=kinds, repeats=False, count_weights=(0, 0, 1)).sample(20, seeded()).scene.objects.asset
    )
    assert (asset.sort(dim=1).values == torch.tensor([0, 1])).all()


def test_nothing_cuts_into_anything(default, sample):
    crowded = torch.nonzero(sample.latents.counts == 3)[:25, 0].tolist()
    assert all(parted(default, sample.scene.objects, crowded))


def test_placed_regardless_objects_would_cut_into_each_other(default, sample):
    """The check above can fail: the same objects at the positions of other scenes."""
    objects = sample.scene.objects
    full = torch.nonzero(sample.latents.counts == 3)[:, 0]
    shuffled = objects.position[full].clone()
    shuffled[:, 1] = objects.position[full.roll(1), 1]
    shuffled[:, 2] = objects.position[full.roll(2), 2]
    objects = type(objects)(
        **{name: value[full] for name, value in vars(objects).items()} | {"position": shuffled}
    )
    assert not all(parted(default, objects, range(25)))


def test_objects_keep_the_clearance():
    made = family(clearance_m=0.03, count_weights=(0, 0, 1, 1))
    sample = made.sample(500, seeded(3))
    fine = Footprints.from_library(made.library, 256)
    gaps = fine.separation(
        sample.scene.objects.asset, sample.scene.objects.position, sample.latents.orientation
    )
    assert 0.03 - 1e-6 <= float(gaps.min()) < 0.035


def test_a_thing_alone_stands_anywhere_and_faces_anywhere(sample):
    alone = sample.latents.counts == 1
    position = sample.scene.objects.position[alone, 0]
    for axis, reach in ((0, 0.32), (1, 0.22)):
        assert kstest((position[:, axis] / reach + 1) / 2, "uniform").pvalue > 1e-3
    turned = alone & ((sample.scene.objects.asset[:, 0] == MUG) | (sample.scene.objects.asset[:, 0] == PAN))
    assert kstest(sample.latents.orientation[turned, 0] / (2 * math.pi) + 0.5, "uniform").pvalue > 1e-3


def test_objects_stand_upright_on_the_table_and_round_ones_have_no_yaw(sample):
    objects = sample.scene.objects
    assert (objects.position[..., 2] == 0).all()
    torch.testing.assert_close(objects.rotation, matrix_from_yaw(sample.latents.orientation))
    has_yaw = (objects.asset == MUG) | (objects.asset == PAN)
    assert (sample.latents.orientation[~has_yaw] == 0).all()
    assert (sample.latents.orientation[has_yaw] != 0).all()
    assert float(sample.latents.orientation.abs().max()) <= math.pi
    assert (objects.scale == 1).all()
    assert (objects.tint == 1).all()


def test_slots_are_ordered_by_depth_and_the_empty_ones_come_last(sample):
    objects = sample.scene.objects
    present = objects.asset >= 0
    assert (present == (torch.arange(3) < sample.latents.counts[:, None])).all()
    depth = project(objects.position, sample.scene.camera)[1].masked_fill(~present, torch.inf)
    assert (depth[:, :-1] <= depth[:, 1:] + 1e-6).all()
    assert (objects.position[~present] == 0).all()


def test_free_cameras_are_uniform_over_their_ranges(default, sample):
    low, high = default.settings.orbit_bounds()
    for share in ((sample.latents.orbit - low) / (high - low)).T:
        assert kstest(share, "uniform").pvalue > 1e-3


def test_free_cameras_see_every_thing_and_a_corner_of_the_table_at_least(default, sample):
    """Which corner it is tells where the camera stands."""
    there = sample.scene.objects.asset >= 0
    origins, _ = project(sample.scene.objects.position, sample.scene.camera)
    assert origins[there].min() > 1
    assert origins[there].max() < 63
    half = torch.tensor(default.settings.table.size_m) / 2
    corners = torch.cat([torch.cartesian_prod(*torch.stack([-half, half], 1)), torch.zeros(4, 1)], dim=1)
    pixels, _ = project(corners.expand(len(sample.latents.orbit), 4, 3), sample.scene.camera)
    seen = ((pixels > 0) & (pixels < 64)).all(dim=-1).sum(dim=-1)
    assert seen.min() >= 1
    assert seen.max() <= 3  # so near that tables are cut off


def test_a_camera_may_be_known_in_part_or_wholly(default):
    known = default.settings.with_known_camera()
    assert known.camera_known
    assert not default.settings.camera_known
    orbit = TableTop.build(known).sample(50, seeded()).latents.orbit
    expected = torch.tensor([math.radians(-90), math.radians(45), 1.45])
    torch.testing.assert_close(orbit, expected.expand(50, 3))
    orbit = family(elevation_degrees=30, distance_m=1.8).sample(50, seeded()).latents.orbit
    assert len(orbit[:, 0].unique()) == 50
    assert len(orbit[:, 1:].unique(dim=0)) == 1


def test_light_stays_unless_it_may_vary_and_then_within_its_range(sample):
    direction = torch.tensor(TableTopSettings().light.direction)
    torch.testing.assert_close(sample.scene.light.direction, direction.expand(8000, 3))
    varied = family(light_range_degrees=30).sample(4000, seeded(4)).scene.light.direction
    torch.testing.assert_close(varied.norm(dim=1), torch.ones(4000))
    cosine, least = varied @ direction, math.cos(math.radians(30))
    assert kstest((cosine - least) / (1 - least), "uniform").pvalue > 1e-3


def test_the_generator_alone_decides(default):
    once, again, other = (default.sample(200, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(once.scene.objects.position, again.scene.objects.position)
    assert torch.equal(once.latents.orbit, again.latents.orbit)
    assert not torch.equal(once.latents.orbit, other.latents.orbit)


def test_the_acceptance_rate_falls_with_the_clearance(default):
    rate = default.acceptance_rate(4000, seeded())
    assert 0.6 < rate < 0.95
    assert family(clearance_m=0.1).acceptance_rate(4000, seeded()) < rate - 0.1


def test_what_cannot_fit_by_area_is_refused_at_once_with_its_kinds(one_line_error):
    crowded = family(kinds=("crockery/plate",), count_weights=(1, 0, 0, 0, 0, 1), reach_m=(0.1, 0.1))
    start = time.process_time()
    with one_line_error(SceneError, r"5 objects do not fit 1 cm apart on 20 x 20 cm \(5 crockery/plate: "):
        crowded.sample(20, seeded())
    assert time.process_time() - start < 1


def test_what_hardly_ever_fits_is_refused_after_a_trial(one_line_error):
    """Eleven items are possible by area, and one random placement in 20,000 or fewer fits."""
    crowded = family(count_weights=(1,) * 11)
    largest = crowded._kinds_of(torch.full((1000,), 10), seeded())
    crowded.placement._check_areas(largest)
    start = time.process_time()
    with one_line_error(SceneError, r"random placements fits\): widen reach_m, or lower"):
        crowded.sample(1, seeded())
    assert time.process_time() - start < 5


def test_the_check_by_area_refuses_nothing_that_fits(default):
    """Random scenes on reaches of all sizes: where a placement was found, the area never excludes it."""
    generator = seeded(8)
    fitted = refused = 0
    for half in (0.02, 0.05, 0.1, 0.2):
        placement = replace(default.placement, reach=(half, half), clearance=0.02)
        asset = torch.randint(5, (300, 4), generator=generator)
        fits = placement.fits(asset, *placement.propose(asset, generator))
        fitted += int(fits.sum())
        placement._check_areas(asset[fits])
        try:
            placement._check_areas(asset)
        except SceneError:
            refused += 1
    assert fitted > 10
    assert refused >= 1


def test_the_trial_leaves_the_scenes_as_they_were(default):
    """A generator's scenes do not depend on whether the family has sampled before."""
    fresh = family()
    first, second = (fresh.sample(50, seeded(9)) for _ in range(2))
    assert torch.equal(first.scene.objects.position, second.scene.objects.position)


def test_surroundings_carry_gradients_to_objects_and_camera(default):
    drawn = default.sample(3, seeded(7))
    orbit = drawn.latents.orbit.double().requires_grad_()
    camera = default.cameras(orbit, drawn.latents.K)
    scene = default.scenes(drawn.scene.objects.to("cpu", torch.float64), camera)
    assert scene.camera.T_world_camera.dtype == scene.background.dtype == torch.float64
    scene.camera.T_world_camera.sum().backward()
    assert orbit.grad is not None
    assert (orbit.grad != 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"repeats": False, "count_weights": (1,) * 7}, "6 items without repeats, of 5 kinds"),
        ({"count_weights": (0, 0)}, "at least one of them positive"),
        ({"count_weights": (1, -1)}, "not negative"),
        ({"count_weights": (1,)}, "at least 2 items"),
        ({"kinds": ("crockery/mug", "crockery/mug")}, "appears twice"),
        ({"kinds": ("mug",)}, "pattern"),
        ({"reach_m": (0.6, 0.2)}, "off a table 0.9 m long"),
        ({"azimuth_degrees": (10, 10)}, "low < high"),
        ({"azimuth_degrees": (10, 20, 30)}, "a number, or a range"),
        ({"elevation_degrees": (-5, 40)}, "expected 1 to 90"),
        ({"distance_m": 0}, "at least 0.1"),
        ({"clearance_m": -0.01}, "greater than or equal to 0"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        TableTopSettings(**settings)


def test_an_unknown_kind_is_refused():
    with pytest.raises(AssetError, match="has no object 'cup'"):
        family(kinds=("crockery/cup",))


def test_objects_rest_on_their_lowest_points_wherever_their_origins_are():
    """Primitives have their origins at their centres; the model's scenes are those of the family."""
    kinds = ("primitives/cube", "primitives/sphere", "primitives/cylinder", "crockery/mug")
    settings = TableTopSettings(kinds=kinds)
    made = TableTop.build(settings)
    drawn = made.sample(60, seeded(4))
    objects = drawn.scene.objects
    for b, n in (objects.asset >= 0).nonzero().tolist():
        assert world_vertices(made, objects, b, n)[:, 2].min() == pytest.approx(0, abs=1e-7)
    assert made.extent.height.tolist() == pytest.approx([0.05, 0.05, 0.06, 0])
    again = SceneSpace(settings).scene(drawn.latents).objects
    there = objects.asset >= 0
    torch.testing.assert_close(again.position[there], objects.position[there])


def test_where_origins_are_at_the_base_nothing_is_moved(default, sample):
    assert torch.equal(default.extent.height, torch.zeros(5))
    assert torch.equal(sample.scene.objects.position[..., 2], torch.zeros(8000, 3))
