"""Observations: to and from the arrays of files, some of them, and what cannot be one."""

import numpy as np
import pytest
import torch

from inverse_graphics.errors import ImageError
from inverse_graphics.observation.observation import Observation, Rendered


def arrays(count=4):
    random = np.random.default_rng(0)
    depth = random.uniform(0.5, 2, (count, 5, 6))
    depth[0, 0, 0] = np.nan
    return {
        "images": random.random((count, 5, 6, 3), np.float32),
        "depth": depth,
        "K": np.tile(np.eye(3), (count, 1, 1)),
        "T_world_camera": np.tile(np.eye(4), (count, 1, 1)),
    }


def test_arrays_come_back_as_they_went():
    given = arrays()
    observation = Observation.from_arrays(**given)
    assert observation.rgb.shape == (4, 3, 5, 6)
    assert observation.rgb.is_contiguous()
    assert np.array_equal(observation.to_arrays(), given["images"])
    assert observation.depth is not None
    assert observation.depth.shape == (4, 1, 5, 6)
    assert observation.depth.isnan().sum() == 1
    np.testing.assert_array_equal(observation.depth[:, 0].numpy(), given["depth"].astype(np.float32))
    assert Observation.from_arrays(given["images"]).depth is None


def test_grey_levels_beyond_those_of_a_file_are_clipped():
    observation = Observation(torch.tensor([-0.5, 0.25, 1.5]).reshape(1, 3, 1, 1))
    assert observation.clipped().rgb.flatten().tolist() == [0, 0.25, 1]
    assert observation.to_arrays().flatten().tolist() == [0, 0.25, 1]


def test_some_images_are_taken_with_all_that_is_known_of_them():
    observation = Observation.from_arrays(**arrays())
    some = observation[torch.tensor([2, 0])]
    assert len(some) == 2
    for name in ("rgb", "depth", "K", "T_world_camera"):
        part = getattr(observation, name)[[2, 0]]
        torch.testing.assert_close(getattr(some, name), part, equal_nan=True)
    again = Observation.cat([observation[:1], observation[1:]])
    torch.testing.assert_close(again.depth, observation.depth, equal_nan=True)


def test_a_residual_is_what_a_render_leaves_and_broadcasts_over_prefixes():
    observation = Observation.from_arrays(**arrays())
    renders = torch.rand(4, 2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    left = observation[:, None].residual(Rendered(renders))
    torch.testing.assert_close(left, observation.rgb[:, None] - renders)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"images": np.zeros((4, 5, 6, 2))}, r"\(5, 6, 2\)"),
        ({"depth": np.zeros((4, 6, 5))}, "depth"),
        ({"depth": np.zeros((3, 5, 6))}, "depth"),
        ({"K": np.eye(3)}, "K"),
        ({"T_world_camera": np.zeros((4, 3, 4))}, "T_world_camera"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(changed, named):
    with pytest.raises(ImageError, match=named):
        Observation.from_arrays(**(arrays() | changed))
