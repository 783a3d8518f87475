"""Observation models: the distribution of an observation given the rendered scene.

One object samples the noise and computes log-probabilities. Training, search, evaluation and the making of
data sets all use it. Surrogates of a log-probability wrap a model without changing it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.nn.functional import avg_pool2d

from inverse_graphics.distributions.draws import draw_normal, draw_uniform
from inverse_graphics.io.registry import Registry
from inverse_graphics.observation.observation import Observation, Rendered


@dataclass(frozen=True)
class ChannelsLast:
    """A generator whose numbers fill images in the order of a file: pixel by pixel, channels together."""

    generator: torch.Generator | np.random.Generator


Generator = torch.Generator | ChannelsLast
"""The source of noise; the numbers of a `torch.Generator` fill images channel by channel."""


def standard_normal(like: Tensor, generator: Generator) -> Tensor:
    """Sample from N(0, 1), in the shape (..., C, H, W) of `like`."""
    return _drawn(like, generator, draw_normal, "standard_normal")


def uniform(like: Tensor, generator: Generator) -> Tensor:
    """Sample uniformly from [0, 1), in the shape (..., C, H, W) of `like`."""
    return _drawn(like, generator, draw_uniform, "random")


class Likelihood(Protocol):
    """Compares observations with renders: the log-probability of an observation, or a surrogate of it."""

    def log_prob(self, observation: Observation, render: Rendered) -> Tensor:
        """log p(observation | render), or a surrogate of it.

        Args:
            observation: images (..., C, H, W).
            render: images (..., C, H, W); leading axes broadcast against the observation's.

        Returns:
            (...), nats, summed over each image.
        """


class ObservationModel(Likelihood, Protocol):
    """The distribution of an observation given the rendered scene."""

    def sample(self, render: Rendered, generator: Generator) -> Observation:
        """Sample an observation: the render plus noise, not clipped."""

    def pyramid(self, levels: int) -> Likelihood:
        """A training surrogate that compares images at `levels` scales; see `Pyramid`."""

    def entropy(self, observation: Observation) -> float:
        """−E log p of noise alone, on one of these images: nats."""


@dataclass(frozen=True)
class PixelNoise(ABC):
    """Base of models with additive noise, independent and identically distributed over pixels.

    A model is given by its loss ρ(e) = 2σ² [log p(0) − log p(e)], as in robust statistics; under Gaussian
    noise ρ(e) = e².

    Attributes:
        sigma: the noise's scale, grey levels in [0, 1].
    """

    sigma: float

    @abstractmethod
    def noise(self, like: Tensor, generator: Generator) -> Tensor:
        """Noise of images (..., C, H, W), grey levels."""

    @abstractmethod
    def loss(self, error: Tensor) -> Tensor:
        """Σ ρ(e) over each image's errors (..., C, H, W): (...), grey levels squared."""

    @abstractmethod
    def log_peak(self, channels: int) -> float:
        """log p of no error, a mean over a pixel's C channels: nats per channel."""

    @abstractmethod
    def entropy_per_value(self, channels: int) -> float:
        """−E log p, a mean over a pixel's C channels: nats per channel."""

    def sample(self, render: Rendered, generator: Generator) -> Observation:
        """Sample an observation: the render plus noise, not clipped."""
        return Observation(render.rgb + self.noise(render.rgb, generator))

    def log_prob(self, observation: Observation, render: Rendered) -> Tensor:
        """log p(observation | render): (...), nats; see `Likelihood`."""
        error = observation.residual(render)
        return -self.loss(error) / (2 * self.sigma**2) + self.log_prob_without_error(error.shape)

    def log_prob_without_error(self, shape: torch.Size) -> float:
        """log p of images (..., C, H, W) that equal their renders: nats."""
        return shape[-3:].numel() * self.log_peak(shape[-3])

    def pyramid(self, levels: int) -> Likelihood:
        """See `Pyramid`."""
        return Pyramid(self, levels)

    def entropy(self, observation: Observation) -> float:
        """−E log p of noise alone, on one of these images: nats."""
        shape = observation.rgb.shape[-3:]
        return shape.numel() * self.entropy_per_value(shape[0])


@dataclass(frozen=True)
class Pyramid:
    """Compares images at several scales: a surrogate with a wide range of attraction, not a likelihood.

    Each level is half as wide as the previous one; a pixel is the mean of 4 × 4 pixels of that level. Level l
    has the weight 4ˡ, as each level has a quarter of the pixels of the one before. The sum is divided by the
    number of levels; with one level it is the model's log-probability. The 4 × 4 windows overlap: with
    disjoint blocks the gradient depends more on an object's position relative to the blocks than on its
    error, and at a distance of two radii its direction is arbitrary.

    Attributes:
        levels: number of scales, at least 1; 1 is the image alone.
    """

    model: PixelNoise
    levels: int = 4

    def log_prob(self, observation: Observation, render: Rendered) -> Tensor:
        """The surrogate's value: (...), nats; see `Likelihood`."""
        error = observation.residual(render)
        leading, image = error.shape[:-3], error.shape[-3:]
        level, total = error.reshape(-1, *image), error.new_zeros(())
        for index in range(self.levels):
            level = avg_pool2d(level, 4, 2, padding=1, count_include_pad=False) if index else level
            total = total - 4**index * self.model.loss(level)
        scale = 2 * self.model.sigma**2 * self.levels
        return total.reshape(leading) / scale + self.model.log_prob_without_error(image)


@dataclass(frozen=True)
class Tempered:
    """A log-probability divided by a temperature: a training surrogate.

    Attributes:
        temperature: above 0, broadcast against the log-probabilities.
    """

    likelihood: Likelihood
    temperature: float | Tensor

    def log_prob(self, observation: Observation, render: Rendered) -> Tensor:
        """The surrogate's value: (...), nats; see `Likelihood`."""
        return self.likelihood.log_prob(observation, render) / self.temperature


class NoiseSettings(BaseModel, ABC):
    """Settings of noise in a recipe: a `kind`, and the parameters of that kind other than sigma."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    @abstractmethod
    def model(self, sigma: float) -> ObservationModel:
        """Make the observation model.

        Args:
            sigma: the noise's scale, grey levels.
        """


NOISES: Registry[type[NoiseSettings]] = Registry(
    "kind of noise",
    "inverse_graphics.observation.gaussian",
    "inverse_graphics.observation.student_t",
    "inverse_graphics.observation.outliers",
)
"""Settings of noise by the names that recipes give them as `model.noise.kind`."""


def _drawn(
    like: Tensor,
    generator: Generator,
    torch_draw: Callable[[Sequence[int], torch.Generator, Tensor], Tensor],
    numpy_draw: Literal["standard_normal", "random"],
) -> Tensor:
    if isinstance(generator, torch.Generator):
        return torch_draw(like.shape, generator, like)
    shape, source = like.movedim(-3, -1).shape, generator.generator
    if isinstance(source, torch.Generator):
        drawn = torch_draw(shape, source, like)
    else:
        drawn = torch.from_numpy(getattr(source, numpy_draw)(tuple(shape), np.float32)).to(like)
    return drawn.movedim(-1, -3)
