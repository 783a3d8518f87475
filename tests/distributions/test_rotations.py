"""Rotation mixtures against Haar quadrature, sampling and finite differences."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from inverse_graphics.distributions.rotations import RotationMixture, SymmetricRotations
from inverse_graphics.geometry.transforms import (
    geodesic_angle,
    matrix_from_rotation_vector,
    random_rotations,
    rotation_from_6d,
)

EYE = torch.eye(3, dtype=torch.float64)
STDS = [0.02, 0.15, 0.6, 1.0, 1.25]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def single(std, location=EYE):
    return RotationMixture(torch.zeros(1).double(), location[None], torch.tensor([std]).double())


def mixture(*batch, components=3, seed=0, dtype=torch.float64):
    generator = seeded(seed)
    logits = torch.randn((*batch, components), generator=generator, dtype=dtype)
    location = random_rotations((*batch, components), generator, dtype)
    return RotationMixture(
        logits, location, 0.1 + 0.6 * torch.rand((*batch, components), generator=generator, dtype=dtype)
    )


def expanded(q, count):
    return RotationMixture(*(part.expand(count, *part.shape) for part in q))


def haar_grid(radii=200, directions=1500):
    """Rotations with weights that sum to 1: the midpoint rule in the angle, spiral points for the axis."""
    node, weight = torch.linspace(0, math.pi, radii + 1, dtype=torch.float64), math.pi / radii
    angle = 0.5 * (node[1:] + node[:-1])
    index = torch.arange(directions, dtype=torch.float64) + 0.5
    z = 1 - 2 * index / directions
    turn = math.pi * (1 + math.sqrt(5)) * index
    ring = (1 - z.square()).sqrt()
    axis = torch.stack([ring * turn.cos(), ring * turn.sin(), z], -1)
    vectors = (angle[:, None, None] * axis).reshape(-1, 3)
    mass = (weight * (1 - angle.cos()) / math.pi / directions)[:, None].expand(-1, directions).reshape(-1)
    return matrix_from_rotation_vector(vectors), mass


@pytest.fixture(scope="module")
def haar():
    return haar_grid()


@pytest.mark.parametrize("std", STDS[1:], ids=str)
def test_density_integrates_to_one(haar, std):
    rotations, mass = haar
    total = (mass * single(std).log_prob(rotations).exp()).sum().item()
    assert total == pytest.approx(1, abs=1e-3)


def test_one_image_alone_would_not_integrate_to_one(haar):
    """The negative control: a std of 1 puts 2 % of the vectors beyond an angle of π."""
    outside = (torch.randn(200_000, 3, generator=seeded()).norm(dim=-1) > math.pi).double().mean().item()
    assert outside == pytest.approx(0.0197, abs=0.002)


@pytest.mark.parametrize("std", STDS, ids=str)
def test_draws_meet_their_density_by_importance(std):
    """Over draws, the mean of 1(near)/q is the Haar volume of what is near: θ − sin θ over π for a ball."""
    q = expanded(single(std, random_rotations((), seeded(1), torch.float64)), 100_000)
    draws = q.sample(seeded(2))
    radius = min(2.5, 2 * std)
    near = geodesic_angle(draws, q.location[:, 0]) < radius
    volume = (near / q.log_prob(draws).exp()).mean().item()
    assert volume == pytest.approx((radius - math.sin(radius)) / math.pi, rel=0.06)


def test_the_density_of_a_small_spread_is_that_of_a_flat_normal():
    q = single(2e-3)
    v = torch.tensor([[1e-3, -2e-3, 0.0], [0.0, 0.0, 0.0]]).double()
    normal = torch.distributions.Normal(torch.zeros(3).double(), q.std).log_prob(v).sum(-1)
    expected = normal + math.log(8 * math.pi**2)
    torch.testing.assert_close(q.log_prob(matrix_from_rotation_vector(v)), expected, rtol=0, atol=1e-5)


def test_the_density_has_no_step_at_half_turns_and_next_to_none_where_the_image_ends():
    q, axis = single(0.8), torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    beside = torch.tensor([math.pi - 1e-7, math.pi + 1e-7], dtype=torch.float64)[:, None]
    first, second = q.log_prob(matrix_from_rotation_vector(beside * axis))
    assert first.item() == pytest.approx(second.item(), abs=1e-5)
    around = torch.tensor([0.5 - 1e-9, 0.5 + 1e-9], dtype=torch.float64)[:, None]
    first, second = single(1.0).log_prob(matrix_from_rotation_vector(around * axis))
    assert 0 < (second - first).item() < 1e-4


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_mixtures_weigh_their_components_and_keep_batch_shapes(shape):
    q, rotation = mixture(*shape), random_rotations(shape, seeded(3), torch.float64)
    parts = q.log_prob_of_components(rotation)
    assert parts.shape == (*shape, 3)
    torch.testing.assert_close(
        q.log_prob(rotation).exp(), (torch.softmax(q.logits, -1) * parts.exp()).sum(-1)
    )
    draws = q.sample_components(seeded())
    assert draws.shape == (*shape, 3, 3, 3)
    for drawn in (draws, q.sample(seeded()), q.centre()):
        torch.testing.assert_close(drawn @ drawn.transpose(-1, -2), EYE.expand_as(drawn), rtol=0, atol=1e-12)


def test_a_rotation_of_the_frame_changes_no_density():
    q, rotation, turn = (
        mixture(6),
        random_rotations((6,), seeded(3), torch.float64),
        random_rotations((), seeded(4), torch.float64),
    )
    rotated = RotationMixture(q.logits, turn @ q.location, q.std)
    torch.testing.assert_close(rotated.log_prob(turn @ rotation), q.log_prob(rotation), rtol=1e-9, atol=1e-9)


def test_gradients_equal_finite_differences():
    q = mixture(4, seed=5)
    logits, std = (part.detach().requires_grad_() for part in (q.logits, q.std))
    six = torch.randn(4, 3, 6, generator=seeded(6), dtype=torch.float64).requires_grad_()
    where = torch.randn(4, 3, generator=seeded(7), dtype=torch.float64).requires_grad_()

    def density(where, six, logits, std):
        return RotationMixture(logits, rotation_from_6d(six), std).log_prob(
            matrix_from_rotation_vector(where)
        )

    def drawn(six, std):
        return RotationMixture(q.logits, rotation_from_6d(six), std).sample_components(seeded(8))

    def divergence(six, logits, std):
        q = RotationMixture(logits, rotation_from_6d(six), std)
        return q.enumerated_kl_to_uniform(q.sample_components(seeded(8)))

    assert gradcheck(density, (where, six, logits, std), atol=1e-5)
    assert gradcheck(drawn, (six, std), atol=1e-5)
    assert gradcheck(divergence, (six, logits, std), atol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 1e-20, 1e-6, 0.01, 0.5, math.pi - 1e-6, math.pi])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_at_the_centre_and_at_half_turns(angle, dtype):
    vector = (angle * torch.tensor([0.0, 0.6, 0.8], dtype=dtype)).requires_grad_()
    std = torch.tensor([0.5], dtype=dtype).requires_grad_()
    q = RotationMixture(torch.zeros(1, dtype=dtype), torch.eye(3, dtype=dtype)[None], std)
    value = q.log_prob(matrix_from_rotation_vector(vector))
    assert all(part.isfinite().all() for part in (value, *torch.autograd.grad(value, (vector, std))))


def test_both_divergence_estimates_have_the_divergence_as_their_mean(haar):
    q = mixture(seed=9)
    rotations, mass = haar
    log_q = expanded(q, len(mass)).log_prob(rotations)
    expected = (mass * log_q.exp() * log_q).sum().item()
    many = expanded(q, 20_000)
    assert many.kl_to_uniform(many.sample(seeded())).mean().item() == pytest.approx(expected, abs=0.03)
    enumerated = many.enumerated_kl_to_uniform(many.sample_components(seeded()))
    assert enumerated.mean().item() == pytest.approx(expected, abs=0.03)


def test_the_centre_is_the_component_of_largest_weight_though_another_may_be_denser():
    location = random_rotations((2,), seeded(), torch.float64)
    q = RotationMixture(
        torch.tensor([0.0, 4.0]).double(), location, torch.tensor([0.01, 0.5], dtype=torch.float64)
    )
    assert q.log_prob(location[0]) > q.log_prob(location[1])
    torch.testing.assert_close(q.centre(), location[1])


def rotations_about_z(fold):
    angle = 2 * math.pi / fold * torch.arange(fold, dtype=torch.float64)
    return matrix_from_rotation_vector(angle[:, None] * torch.tensor([0.0, 0, 1], dtype=torch.float64))


def symmetric(q, fold, filled):
    """With `filled` places that hold no rotation."""
    symmetry_group = torch.cat([rotations_about_z(fold), EYE.expand(filled, 3, 3)])
    log_symmetry_weight = torch.cat(
        [torch.full((fold,), -math.log(fold)), torch.full((filled,), -torch.inf)]
    ).double()
    batch = q.logits.shape[:-1]
    return SymmetricRotations(
        q, symmetry_group.expand(*batch, -1, 3, 3), log_symmetry_weight.expand(*batch, -1)
    )


@pytest.mark.parametrize("fold", [1, 2, 6])
def test_symmetric_rotations_are_one_outcome(fold):
    q, rotation = mixture(5), random_rotations((5,), seeded(3), torch.float64)
    group = rotations_about_z(fold)
    each = torch.stack([q.log_prob(rotation @ turn) for turn in group])
    density = symmetric(q, fold, filled=2).log_prob(rotation)
    torch.testing.assert_close(density.exp(), each.exp().mean(0))
    rotated = symmetric(q, fold, filled=2).log_prob(rotation @ group[-1])
    torch.testing.assert_close(rotated, density)


def test_the_density_modulo_symmetry_integrates_to_one(haar):
    rotations, mass = haar
    q = expanded(mixture(seed=4), len(mass))
    total = (mass * symmetric(q, 6, filled=0).log_prob(rotations).exp()).sum().item()
    assert total == pytest.approx(1, abs=2e-3)


def test_gradients_of_the_symmetric_density_equal_finite_differences():
    six = torch.randn(4, 3, 6, generator=seeded(6), dtype=torch.float64).requires_grad_()
    logits, std = (part.detach().requires_grad_() for part in (mixture(4).logits, mixture(4).std))
    rotation = random_rotations((4,), seeded(1), torch.float64)

    def density(six, logits, std):
        return symmetric(RotationMixture(logits, rotation_from_6d(six), std), 6, filled=1).log_prob(rotation)

    assert gradcheck(density, (six, logits, std), atol=1e-5)


def off(vector):
    return matrix_from_rotation_vector(torch.tensor(vector, dtype=torch.float64))


def weighted(weights, locations, stds, fold=6):
    q = RotationMixture(
        torch.tensor(weights, dtype=torch.float64).log(),
        torch.stack(locations),
        torch.tensor(stds, dtype=torch.float64),
    )
    return symmetric(q, fold, filled=2)


def test_the_centre_is_the_mean_of_a_mode_modulo_symmetry():
    """Whatever symmetry rotates each component; components far from the mode do not count."""
    base = random_rotations((), seeded(2), torch.float64)
    turns = rotations_about_z(6)
    near, far = base @ off([0.1, 0.0, 0.0]), base @ off([0.0, 1.0, 0.0])
    q = weighted([0.4, 0.4, 0.2], [base @ turns[2], near @ turns[5], far], [0.1, 0.1, 0.05])
    middle = base @ off([0.05, 0.0, 0.0])
    apart = geodesic_angle(q.centre(), middle @ turns)
    assert apart.min() < 1e-6
    surer = weighted([0.4, 0.4, 0.2], [base @ turns[2], near @ turns[5], far], [0.1, 0.05, 0.05])
    apart = geodesic_angle(surer.centre(), base @ off([0.08, 0.0, 0.0]) @ turns)  # four times the precision
    assert apart.min() < 1e-6


def test_the_centre_of_a_single_component_is_its_location():
    base = random_rotations((), seeded(2), torch.float64)
    q = weighted([0.7, 0.3], [base, base @ off([0.0, 0.0, 0.2 + math.pi / 2 - 0.7])], [0.1, 0.1], fold=1)
    assert geodesic_angle(q.centre(), base) < 1e-6
    assert geodesic_angle(q.mixture.centre(), base) < 1e-6


def test_centres_of_many_are_those_of_each():
    q = symmetric(mixture(7, components=9, seed=3), 6, filled=1)
    each = [
        SymmetricRotations(
            RotationMixture(*(part[i] for part in q.mixture)), q.symmetry_group[i], q.log_symmetry_weight[i]
        )
        for i in range(7)
    ]
    torch.testing.assert_close(q.centre(), torch.stack([one.centre() for one in each]))


def test_many_noisy_components_together_are_nearer_to_the_truth_than_the_first():
    """The reason for the mean; with one component there is nothing to gain, which is the control."""
    truth = random_rotations((400,), seeded(4), torch.float64)
    errors = {}
    for components in (1, 8):
        noise = 0.1 * torch.randn(400, components, 3, generator=seeded(5), dtype=torch.float64)
        rotated = rotations_about_z(6)[torch.randint(6, (400, components), generator=seeded(6))]
        location = truth[:, None] @ matrix_from_rotation_vector(noise) @ rotated
        logits = torch.zeros(400, components).double()
        q = symmetric(RotationMixture(logits, location, torch.full_like(logits, 0.1)), 6, filled=0)

        def median(found):
            return geodesic_angle(found[:, None], truth[:, None] @ rotations_about_z(6)).amin(-1).median()

        errors[components] = [float(median(found)) for found in (q.mixture.centre(), q.centre())]
    assert errors[1][1] == pytest.approx(errors[1][0])
    assert errors[8][1] < 0.5 * errors[8][0]
