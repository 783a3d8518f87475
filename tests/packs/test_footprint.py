"""Footprints: distances between hulls against a dense sweep of directions and a linear programme."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.spatial import ConvexHull

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.footprint import Footprints
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.packs.pack import load_pack

LIBRARY = load_pack("crockery").library().to("cpu", torch.float64)
FOOTPRINTS = Footprints.from_library(LIBRARY)
KINDS = len(LIBRARY.names)


def points_on_table(asset, position, yaw):
    """All vertices of an object, projected, in the world."""
    start, stop = LIBRARY.first_vertex[asset : asset + 2].tolist()
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    return LIBRARY.vertices[start:stop, :2].numpy() @ turn.T + position[:2]


def true_separation(first, second):
    """The greatest gap over 3,200 directions."""
    # the 32 directions are among these
    angle = np.arange(3200) * 2 * math.pi / 3200
    directions = np.stack([np.cos(angle), np.sin(angle)])
    return float(((second @ directions).min(0) - (first @ directions).max(0)).max())


def a_line_parts(first, second):
    """Whether some line separates two sets of points: a linear programme, independent of supports."""
    rows = np.concatenate([np.c_[first, np.ones(len(first))], -np.c_[second, np.ones(len(second))]])
    return linprog(np.zeros(3), rows, -np.ones(len(rows)), bounds=(None, None)).status == 0


def random_pairs(count, seed, spread=0.35):
    generator = torch.Generator().manual_seed(seed)
    asset = torch.randint(KINDS, (count, 2), generator=generator)
    position = spread * (2 * torch.rand(count, 2, 3, generator=generator, dtype=torch.float64) - 1)
    yaw = 2 * math.pi * torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return asset, position, yaw


def hulls_of_pairs(asset, position, yaw):
    return [
        tuple(points_on_table(int(asset[b, n]), position[b, n].numpy(), float(yaw[b, n])) for n in (0, 1))
        for b in range(len(asset))
    ]


def test_separation_is_never_more_than_the_true_one_and_near_it_where_objects_are_close():
    asset, position, yaw = random_pairs(200, seed=0)
    found = FOOTPRINTS.separation(asset, position, yaw)[:, 0, 1]
    true = torch.tensor([true_separation(*hulls) for hulls in hulls_of_pairs(asset, position, yaw)])
    assert float((found - true).max()) < 1e-9
    close = true.abs() < 0.03
    assert int(close.sum()) > 15
    assert float((true - found)[close].max()) < 0.012
    assert 20 < int((found > 0).sum()) < 180


def test_what_it_parts_a_line_parts():
    asset, position, yaw = random_pairs(60, seed=1)
    found = FOOTPRINTS.separation(asset, position, yaw)[:, 0, 1]
    for gap, (first, second) in zip(found, hulls_of_pairs(asset, position, yaw), strict=True):
        assert a_line_parts(first, second) or gap <= 0
        if gap < -0.005:
            assert not a_line_parts(first, second)


def test_more_directions_come_closer_to_two_plates_that_touch():
    asset, yaw = torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 2).double()
    position = torch.tensor([[[0.0, 0, 0], [0.3 * math.cos(0.1), 0.3 * math.sin(0.1), 0]]]).double()
    gaps = [
        float(Footprints.from_library(LIBRARY, directions).separation(asset, position, yaw)[0, 0, 1])
        for directions in (4, 8, 32, 128)
    ]
    assert gaps == sorted(gaps)
    assert gaps[-1] == pytest.approx(0.0412, abs=2e-4)  # facets lie a little inside the circles


def test_the_table_of_gaps_is_symmetric_and_infinite_where_there_is_no_pair():
    asset, position, yaw = random_pairs(8, seed=2)
    asset = torch.cat([asset, torch.full((8, 1), -1)], dim=1)
    position, yaw = torch.cat([position, position[:, :1]], 1), torch.cat([yaw, yaw[:, :1]], 1)
    gaps = FOOTPRINTS.separation(asset, position, yaw)
    assert torch.equal(gaps, gaps.transpose(1, 2))
    assert gaps.isfinite().sum() == 8 * 2
    assert torch.equal(gaps, FOOTPRINTS.separation(asset, position[..., :2], yaw))


def test_turning_and_moving_everything_by_a_step_of_the_directions_changes_nothing():
    asset, position, yaw = random_pairs(30, seed=3)
    angle = torch.tensor(2 * math.pi / 32 * 5, dtype=torch.float64)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    moved = position[..., :2] @ turn.T + torch.tensor([0.3, -0.7])
    before, after = (
        FOOTPRINTS.separation(asset, position, yaw),
        FOOTPRINTS.separation(asset, moved, yaw + angle),
    )
    torch.testing.assert_close(before, after, atol=1e-12, rtol=0)


def test_gradients_are_finite_differences():
    asset, position, yaw = random_pairs(10, seed=4)
    gaps = lambda position, yaw: FOOTPRINTS.separation(asset, position, yaw)[:, 0, 1]  # noqa: E731
    assert torch.autograd.gradcheck(
        gaps, (position.requires_grad_(), yaw.requires_grad_()), eps=1e-7, atol=1e-5
    )


def test_gradients_are_finite_with_empty_slots():
    asset, position, yaw = random_pairs(4, seed=5)
    asset[:, 1] = -1
    gaps = FOOTPRINTS.separation(asset, position.requires_grad_(), yaw.requires_grad_())
    torch.nn.functional.softplus(-gaps / 0.01).sum().backward()
    assert torch.equal(position.grad, torch.zeros_like(position))
    assert torch.equal(yaw.grad, torch.zeros_like(yaw))


def test_a_mesh_without_width_is_refused_by_name():
    upright = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    sheet = Mesh(upright, np.array([[0, 1, 2]]), upright, upright)
    with pytest.raises(AssetError, match="asset 'mine/sheet' seen from above has no area"):
        Footprints.from_library(MeshLibrary.from_meshes([("mine/sheet", sheet)]))


def test_hulls_are_those_of_all_vertices():
    for asset, hull in enumerate(FOOTPRINTS.hulls):
        everything = ConvexHull(points_on_table(asset, np.zeros(2), 0.0)).volume
        assert ConvexHull(hull.numpy()).volume == pytest.approx(everything)


@pytest.mark.parametrize("margin", [0.0, 0.01, 0.3])
def test_areas_are_those_of_hulls_grown_by_a_ball(margin):
    """Compared with the hull of all corners moved by the margin in 2,000 directions."""
    angle = np.arange(2000) * math.pi / 1000
    circle = margin * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    for hull, area in zip(FOOTPRINTS.hulls, FOOTPRINTS.area(margin), strict=True):
        grown = ConvexHull((hull.numpy()[:, None] + circle).reshape(-1, 2)).volume
        assert float(area) == pytest.approx(grown, rel=1e-4)


def test_radii_hold_every_corner():
    assert torch.equal(FOOTPRINTS.radius, FOOTPRINTS.hulls.square().sum(-1).sqrt().amax(-1))
