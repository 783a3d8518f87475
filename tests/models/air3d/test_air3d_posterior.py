"""What the network believes, as densities: they integrate to one, and their slopes are their differences'."""

import math

import pytest
import torch
from small_air3d import FAMILIES, SINGLE, seeded, space_of, table
from torch.autograd import gradcheck

from inverse_graphics.distributions.discrete import Categorical
from inverse_graphics.distributions.rotations import RotationMixture
from inverse_graphics.distributions.sampler import DefensiveMixture, DefensiveSampler
from inverse_graphics.geometry.transforms import geodesic_angle, matrix_from_rotation_vector, random_rotations
from inverse_graphics.models.air3d import posterior as posterior_module
from inverse_graphics.models.air3d.posterior import (
    MAX_ROTATION_STD,
    ROTATION_PARAMETERS,
    CameraParameters,
    ObjectParameters,
    ObjectPosterior,
    camera_posterior,
    clamp_straight_through,
    object_posterior,
    orientation_parameters,
)

COMPONENTS = 2


def random(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def cameras(space, count, seed=0):
    share = torch.rand(count, 3, generator=seeded(seed), dtype=torch.float64)
    orbit = space.orbit_low + (space.orbit_high - space.orbit_low) * share
    return space.cameras(orbit, space.K), orbit[:, 0]


def some_numbers(space, count, seed=0):
    """Numbers for which nothing has to be held within bounds."""
    camera, _ = cameras(space, count, seed)
    place = space.reach * (1.6 * torch.rand(count, 2, generator=seeded(seed), dtype=torch.float64) - 0.8)
    return ObjectParameters(
        pixel=space.pixel_from_plane(place[:, None], camera)[:, 0],
        presence=random(count, seed=seed + 1),
        identity=random(count, len(space.orientation_observable), seed=seed + 2),
        raw_std=random(count, 2, seed=seed + 3, scale=0.4),
        orientation=some_turns(space, count, seed + 4),
    )


def some_turns(space, count, seed):
    """Rotations' widths are between 0.16 and 0.21 rad, safely narrower than the widest."""
    numbers = random(count, orientation_parameters(COMPONENTS, space.floating), seed=seed, scale=0.5).clamp(
        -0.6, 0.6
    )
    if space.floating:
        widths = numbers.view(count, COMPONENTS, -1)[..., -1:]
        widths.mul_(0.2).sub_(0.8)
    return numbers


def some_posterior(space, count=1, seed=0):
    camera, azimuth = cameras(space, count, seed)
    return object_posterior(some_numbers(space, count, seed), camera, azimuth, space)


def repeated(posterior: ObjectPosterior, count: int) -> ObjectPosterior:
    """One posterior for `count` values."""

    def each(part):
        return part.expand(count, *part.shape[1:])

    position = posterior.position._replace(
        mean=each(posterior.position.mean), std=each(posterior.position.std)
    )
    orientation = type(posterior.orientation)(*(each(part) for part in posterior.orientation))
    return ObjectPosterior(each(posterior.presence), each(posterior.identity), position, orientation)


def midpoints(low, high, count):
    return low + (high - low) * (torch.arange(count, dtype=torch.float64) + 0.5) / count


@pytest.mark.parametrize("mixture", [0.0, 0.3])
def test_beliefs_about_objects_on_a_table_integrate_to_one(mixture):
    """Over kinds, places and yaws; a kind without visible turn has no yaw to integrate over."""
    space = space_of(table()).double()
    for seed in range(3):
        posterior = some_posterior(space, seed=seed)
        x, y = (midpoints(-reach, reach, 60) for reach in space.reach)
        total = torch.zeros((), dtype=torch.float64)
        for kind, orientation_observable in enumerate(space.orientation_observable):
            yaws = (
                midpoints(-math.pi, math.pi, 60)
                if orientation_observable
                else torch.tensor([1.0], dtype=torch.float64)
            )
            at = torch.cartesian_prod(x, y, yaws)
            asset = torch.full((len(at),), kind)
            density = (
                repeated(posterior, len(at))
                .log_prob(asset, at[:, :2], at[:, 2], space, DefensiveMixture(mixture, mixture))
                .exp()
            )
            total = total + density.mean() * (2 * space.reach).prod() * (
                2 * math.pi if orientation_observable else 1
            )
        torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-3, atol=0)


def rotations_around(centres, count, seed):
    """Rotations by any angle alike about any axis from one of `centres`: (count, 3, 3); and their density.

    Of uniform rotations the angle's density is (1 − cos θ)/π, and theirs is 1/π; so this is 1/(1 − cos θ).
    """
    axis = torch.nn.functional.normalize(random(count, 3, seed=seed), dim=-1)
    angle = math.pi * torch.rand(count, 1, generator=seeded(seed), dtype=torch.float64)
    centre = centres[torch.randint(len(centres), (count,), generator=seeded(seed + 1))]
    rotation = centre @ matrix_from_rotation_vector(angle * axis)
    cosine = ((centres[None] * rotation[:, None]).sum((-1, -2)) - 1) / 2
    return rotation, (1 / (1 - cosine)).mean(-1)


@pytest.mark.parametrize("mixture", [0.0, 0.3])
def test_beliefs_about_floating_objects_integrate_to_one(mixture):
    """More rotations are tried where they are believed in, as such beliefs are narrow."""
    space = space_of(SINGLE).double()
    posterior = some_posterior(space)
    x, y = (midpoints(-reach, reach, 250) for reach in space.reach)
    at = torch.cartesian_prod(x, y)
    density = torch.zeros(len(at), dtype=torch.float64)
    for kind in range(len(space.orientation_observable)):
        centres = (posterior.orientation.location[0][:, None] @ space.symmetry_group[kind]).flatten(0, 1)
        rotation, tried = rotations_around(centres, len(at), seed=kind)
        asset = torch.full((len(at),), kind)
        predicted = repeated(posterior, len(at)).log_prob(
            asset, at, rotation, space, DefensiveMixture(mixture, mixture)
        )
        density += predicted.exp() / tried
    volume = (2 * space.reach).prod()
    error = volume * density.std() / math.sqrt(len(at))
    assert error < 0.02
    assert abs(volume * density.mean() - 1) < 4 * error


def test_rotations_around_centres_have_the_density_that_is_stated():
    """Of a share of all rotations that is known: those by less than an angle from the first centre."""
    centres = random_rotations((2,), seeded(4), torch.float64)
    rotation, density = rotations_around(centres, 40_000, seed=5)
    for angle in (0.3, 1.0, 2.0, math.pi):
        near = geodesic_angle(rotation, centres[:1]) <= angle
        weight = near / density
        error = float(weight.std()) / math.sqrt(len(weight))
        assert float(weight.mean()) == pytest.approx((angle - math.sin(angle)) / math.pi, abs=4 * error)


@pytest.mark.parametrize("family", [table(), SINGLE], ids=["table", "floating"])
def test_only_visible_turns_count(family):
    space = space_of(family).double()
    kinds = torch.arange(len(space.orientation_observable))
    assert space.orientation_observable.tolist() == (
        [True, False, True] if space.floating else [False, True, False]
    )
    posterior = repeated(some_posterior(space), len(kinds))
    place = torch.zeros(len(kinds), 2, dtype=torch.float64)
    orientation_observable = [torch.full((3,), yaw, dtype=torch.float64) for yaw in (0.3, 2.0)]
    if space.floating:
        orientation_observable = [random_rotations((3,), seeded(seed), torch.float64) for seed in (1, 2)]
    one, other = (
        posterior.log_prob(kinds, place, orientation, space) for orientation in orientation_observable
    )
    assert torch.equal(one != other, space.orientation_observable)


@pytest.mark.parametrize(
    "mixture",
    [
        DefensiveMixture(0.4, 0.4),
        DefensiveMixture(0.8, 0.3),
        DefensiveMixture(1.0, 0.5),
        DefensiveMixture(0.3, 1.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("family", [table(), SINGLE], ids=["table", "floating"])
def test_defensive_draws_have_the_density_that_is_stated(family, mixture):
    """E_q[p/q] = 1 for p uniform over half the places and one kind, which only the right q gives."""
    space = space_of(family).double()
    count = 20_000
    posterior = repeated(some_posterior(space), count)
    draw = DefensiveSampler(seeded(3), mixture)
    position, orientation, asset = (
        draw(part) for part in (posterior.position, posterior.orientation, Categorical(posterior.identity))
    )
    kind = int(torch.nonzero(space.orientation_observable)[0])
    half = (position[:, 0] > 0) & (asset == kind)
    uniform = 2 / (2 * space.reach).prod() / (1 if space.floating else 2 * math.pi)

    def claimed(*stated):
        ratio = half * uniform / posterior.log_prob(asset, position, orientation, space, *stated).exp()
        return float(ratio.mean()), float(ratio.std()) / math.sqrt(count)

    mean, error = claimed(mixture)
    assert error < 0.05
    assert abs(mean - 1) < 4 * error
    assert abs(claimed()[0] - 1) > 4 * error


def test_there_is_an_object_or_there_is_none():
    posterior = some_posterior(space_of(table()).double(), 20)
    yes, no = (posterior.log_presence(torch.full((20,), value)).exp() for value in (True, False))
    torch.testing.assert_close(yes + no, torch.ones_like(yes))
    torch.testing.assert_close(yes, torch.sigmoid(posterior.presence))


def test_where_a_rotation_lies_learns_no_faster_the_surer_it_is():
    """Its slope is its density's, times (std / the widest)², and no other slope is changed."""
    space, count = space_of(SINGLE).double(), 3
    camera, azimuth = cameras(space, count)
    numbers = some_numbers(space, count)
    orientation = numbers.orientation.requires_grad_()
    rotation = random_rotations((count,), seeded(9), torch.float64)

    def slopes():
        q = object_posterior(numbers, camera, azimuth, space).orientation
        assert isinstance(q, RotationMixture)
        slope = torch.autograd.grad(q.log_prob(rotation).sum(), orientation)[0]
        return slope.reshape(count, COMPONENTS, ROTATION_PARAMETERS), q.std

    slowed, std = slopes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posterior_module, "scale_gradient", lambda value, rate: value)
        exact, _ = slopes()
    rate = (std / MAX_ROTATION_STD).square()[..., None]
    torch.testing.assert_close(slowed[..., 1:4], exact[..., 1:4] * rate)
    torch.testing.assert_close(slowed[..., [0, 4]], exact[..., [0, 4]])
    assert rate.min() < 0.9


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_slopes_of_an_objects_density_are_those_of_its_differences(family, monkeypatch):
    """But for how fast the locations of rotations learn."""
    monkeypatch.setattr(posterior_module, "scale_gradient", lambda value, rate: value)
    space = space_of(family).double()
    count = 4
    camera, azimuth = cameras(space, count)
    numbers = some_numbers(space, count)
    asset = torch.arange(count) % len(space.orientation_observable)
    position = space.reach * (2 * torch.rand(count, 2, generator=seeded(8), dtype=torch.float64) - 1)
    orientation = random(count, seed=9)
    if space.floating:
        orientation = random_rotations((count,), seeded(9), torch.float64)

    def log_prob(*parts):
        posterior = object_posterior(ObjectParameters(*parts), camera, azimuth, space)
        present = torch.tensor([True, False, True, False])
        return posterior.log_prob(asset, position, orientation, space), posterior.log_presence(present)

    assert gradcheck(log_prob, [part.requires_grad_() for part in numbers], fast_mode=True)


def test_slopes_of_a_cameras_density_are_those_of_its_differences():
    space = space_of(table()).double()
    orbit = space.orbit_low + (space.orbit_high - space.orbit_low) * torch.tensor([[0.2, 0.5, 0.9]]).double()

    def log_prob(centre, raw_std):
        return camera_posterior(CameraParameters(centre, raw_std), space).log_prob(orbit)

    inputs = random(3, 3, seed=1, scale=0.5), random(3, 3, seed=2, scale=0.4)
    assert gradcheck(log_prob, [part.requires_grad_() for part in inputs])


def test_a_known_part_of_the_orbit_is_not_believed_in():
    space = space_of(table({"azimuth_degrees": (-100, -80), "elevation_degrees": 45, "distance_m": 1.5}))
    posterior = camera_posterior(CameraParameters(torch.zeros(2, 3), torch.zeros(2, 3)), space)
    assert posterior.mean.shape == (2, 1)
    torch.testing.assert_close(posterior.mean, torch.full((2, 1), math.radians(-90)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_held_lies_within_bounds_and_is_taught_as_if_free(dtype):
    value = torch.tensor([-3e6, -2.0, -0.3, 0.0, 0.7, 1.0, 54_321.1, 1e9], dtype=dtype, requires_grad=True)
    low, high = torch.tensor(-0.32, dtype=dtype), torch.tensor(0.32, dtype=dtype)
    held = clamp_straight_through(value, low, high)
    assert torch.equal(held, value.clamp(low, high))
    weight = torch.arange(8, dtype=dtype)
    (slope,) = torch.autograd.grad((weight * held).sum(), value)
    assert torch.equal(slope, weight)


def test_an_object_seen_off_the_table_is_drawn_back_to_it():
    """Its place is held at the edge, and still climbing the density moves its pixel towards the object."""
    space = space_of(table()).double()
    camera, azimuth = cameras(space, 1)
    wanted = space.reach[None] * 0.2
    pixel = space.pixel_from_plane(3 * space.reach[None, None], camera)[:, 0].requires_grad_()
    numbers = some_numbers(space, 1)._replace(pixel=pixel)
    posterior = object_posterior(numbers, camera, azimuth, space)
    torch.testing.assert_close(posterior.position.mean, space.reach[None])
    (slope,) = torch.autograd.grad(posterior.position.log_prob(wanted).sum(), pixel)
    moved = space.plane_from_pixel(pixel + slope / slope.norm(), camera)
    assert (moved - wanted).norm() < (3 * space.reach[None] - wanted).norm()
    assert (slope != 0).all()
