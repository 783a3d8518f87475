"""AIR for images of objects in the plane: multi-MNIST and its like.

An object is a window (where) and what is seen in it (what), drawn by a decoder; objects add up.
Source: Eslami et al. 2016, sections 2.2 and 3.1.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from inverse_graphics.distributions.gaussian import Gaussian
from inverse_graphics.distributions.sampler import Sampler
from inverse_graphics.halting import Step
from inverse_graphics.likelihood import GaussianLikelihood
from inverse_graphics.models.air import Beginning, ObjectStep
from inverse_graphics.models.attention import read_window, write_window
from inverse_graphics.models.glimpse_vae import GlimpseDecoder, GlimpseEncoder

WHERE = 3  # inverse scale and the two coordinates of the centre
SMALLEST_INVERSE_SCALE = 0.5  # a window is at most twice as wide as the image
INITIAL_WHERE_STD = 0.3


class Air2DSettings(BaseModel):
    """Sizes and priors of the 2D model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["air2d"] = "air2d"
    image_size: int = Field(50, ge=8, le=512, description="height and width of an image, pixels")
    glimpse_size: int = Field(28, ge=4, le=128, description="height and width of a glimpse, pixels")
    max_objects: int = Field(3, ge=1, le=16)
    features: int = Field(256, ge=1, le=4096, description="units that see the whole image")
    hidden: int = Field(256, ge=1, le=4096, description="units of the recurrent network")
    head: int = Field(200, ge=1, le=4096, description="units between it and presence and window")
    what: int = Field(50, ge=1, le=1024, description="dimensions of an object's appearance")
    glimpse_hidden: int = Field(200, ge=1, le=4096, description="units of the glimpse coder and decoder")
    sigma: float = Field(0.3, gt=0, le=10, description="standard deviation of pixel noise, grey levels")
    inverse_scale_mean: float = Field(3.0, ge=SMALLEST_INVERSE_SCALE, le=64, description="prior")
    inverse_scale_std: float = Field(0.2, gt=0, le=64, description="prior")
    centre_std: float = Field(1.0, gt=0, le=64, description="prior, half image widths")
    presence_bias: float = Field(2.0, ge=-20, le=20, description="logit of presence at the start")
    decoder_bias: float = Field(-2.0, ge=-20, le=20, description="logit of grey levels at the start")


class State(NamedTuple):
    """What the network carries from step to step.

    images: (B, H, W).  features: (B, F).  hidden, cell: (B, H).  previous: (B, 3 + D), the last latents.
    """

    images: Tensor
    features: Tensor
    hidden: Tensor
    cell: Tensor
    previous: Tensor


class Latents(NamedTuple):
    """One object of each image.

    where: (B, 3), its window.  what: (B, D), its appearance.  glimpse: (B, G, G), its picture.
    """

    where: Tensor
    what: Tensor
    glimpse: Tensor


class Air2D(nn.Module):
    """Infers objects one by one, each by looking into a window; an `AirModel`."""

    prior_where_mean: Tensor
    prior_where_std: Tensor

    def __init__(self, settings: Air2DSettings) -> None:
        super().__init__()
        self.settings = settings
        self.likelihood = GaussianLikelihood(settings.sigma)
        self.see = nn.Linear(settings.image_size**2, settings.features)
        self.recur = nn.LSTMCell(settings.features + WHERE + settings.what, settings.hidden)
        self.head = nn.Linear(settings.hidden, settings.head)
        self.presence = nn.Linear(settings.head, 1)
        self.where = nn.Linear(settings.head, 2 * WHERE)
        glimpse = (settings.glimpse_size, settings.glimpse_hidden, settings.what)
        self.encode = GlimpseEncoder(*glimpse)
        self.decode = GlimpseDecoder(*glimpse, bias=settings.decoder_bias)
        scale, spread = settings.inverse_scale_mean, settings.centre_std
        self._fix("prior_where_mean", [scale, 0.0, 0.0])
        self._fix("prior_where_std", [settings.inverse_scale_std, spread, spread])
        self._start_near_the_prior()

    @property
    def max_objects(self) -> int:
        """N, the number of steps."""
        return self.settings.max_objects

    def begin(self, images: Tensor, sampler: Sampler) -> Beginning:
        """The state before the first step; objects share nothing.  images: (B, 1, H, W)."""
        del sampler
        nothing = images.new_zeros(len(images), self.settings.hidden)
        previous = images.new_zeros(len(images), WHERE + self.settings.what)
        features = torch.relu(self.see(images.flatten(1)))
        return Beginning(
            State(images[:, 0], features, nothing, nothing, previous), images.new_zeros(len(images))
        )

    def step(self, state: State, sampler: Sampler) -> Step[State, ObjectStep]:
        """Infer one more object: whether there is one, where it is, and what."""
        seen = torch.cat([state.features, state.previous], -1)
        hidden, cell = self.recur(seen, (state.hidden, state.cell))
        head = torch.relu(self.head(hidden))

        q_where = self._where_posterior(head)
        where = _bounded(sampler(q_where))
        q_what = self.encode(read_window(state.images, where, self.settings.glimpse_size))
        what = sampler(q_what)

        kl = q_where.kl_to(Gaussian(self.prior_where_mean, self.prior_where_std))
        kl = kl + q_what.kl_to(Gaussian(torch.zeros_like(what), torch.ones_like(what)))
        objects = ObjectStep(Latents(where, what, self.decode(what)), kl)
        carried = State(state.images, state.features, hidden, cell, torch.cat([where, what], -1))
        return Step(-self.presence(head)[:, 0], objects, carried)

    def prefixes(self, objects: list[ObjectStep]) -> list[Tensor]:
        """The pictures of the first 0 … N objects: N + 1 of (B, 1, H, W)."""
        size = self.settings.image_size
        drawn = [write_window(o.latents.glimpse, o.latents.where, size, size)[:, None] for o in objects]
        return list(accumulate(drawn, torch.add, initial=torch.zeros_like(drawn[0])))

    def prefix_log_likelihoods(self, images: Tensor, objects: list[ObjectStep]) -> Tensor:
        """log p(x | z_1 … z_n) for n = 0 … N: (B, N + 1), nats."""
        canvases = self.prefixes(objects)
        return torch.stack([self.likelihood.log_prob(images, canvas) for canvas in canvases], dim=-1)

    def _where_posterior(self, head: Tensor) -> Gaussian:
        offset, raw_std = self.where(head).chunk(2, -1)
        return Gaussian(self.prior_where_mean + offset, softplus(raw_std))

    def _fix(self, name: str, values: list[float]) -> None:
        self.register_buffer(name, torch.tensor(values), persistent=False)

    @torch.no_grad()
    def _start_near_the_prior(self) -> None:
        """Objects are present, in the middle and of the prior's size, until the network learns better."""
        self.presence.bias.fill_(self.settings.presence_bias)
        std = torch.tensor(INITIAL_WHERE_STD, device="cpu")  # expm1 on "meta" would import a compiler
        self.where.weight.mul_(0.1)
        self.where.bias[:WHERE] = 0
        self.where.bias[WHERE:] = torch.log(torch.expm1(std)).item()


def _bounded(where: Tensor) -> Tensor:
    """Keep windows from growing without bound: (B, 3)."""
    return torch.cat([where[:, :1].clamp_min(SMALLEST_INVERSE_SCALE), where[:, 1:]], -1)
