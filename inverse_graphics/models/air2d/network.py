"""AIR for images of objects in the plane: multi-MNIST and its like.

An object is a window (where) and its appearance (what), decoded to a glimpse; objects add up, or occlude what
is behind them. A step reads the image, or its difference from the reconstruction so far (difference-AIR).
Source: Eslami et al. 2016, sections 2.2 and 3.1; for DAIR, the paragraph on strong generalisation.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

from inverse_graphics.distributions.normal import Gaussian
from inverse_graphics.distributions.sampler import Sampler
from inverse_graphics.halting import Step
from inverse_graphics.models.air import InitialState, ObjectStep
from inverse_graphics.models.air2d.attention import (
    LocationAttention,
    LocationMap,
    Place,
    WindowCorrection,
    read_window,
    salience,
    write_window,
)
from inverse_graphics.models.air2d.vae import Background, BackgroundSettings, GlimpseDecoder, GlimpseEncoder
from inverse_graphics.models.weights import register_network
from inverse_graphics.observation import AnyNoise
from inverse_graphics.observation.gaussian import GaussianNoise
from inverse_graphics.observation.model import Likelihood
from inverse_graphics.observation.observation import Observation, Rendered

WHERE = 3  # inverse scale and the two coordinates of the centre
SMALLEST_INVERSE_SCALE = 0.5  # a window is at most twice as wide as the image
INITIAL_WHERE_STD = 0.3


class Air2DSettings(BaseModel):
    """Sizes and priors of the 2D model.

    Attributes:
        aim: how a step locates the next object: from features of the whole image ("whole"), or also by
            attention to one position of a convolutional map ("map"), whose features there also predict
            presence.
        salience: weight of the residual's log energy at a position in the attention's scores.
        corrections: how many times the window is corrected from its own glimpse before the object is encoded.
        sees: the input of a step and of its glimpse: the image; its difference from the reconstruction so far
            (DAIR); or "both": the step reads both, the glimpse is read from the difference.
        memory: whether a step has a recurrent state, or only its input.
        drawing: objects add to the reconstruction, or occlude it like white paint.
        background: settings of a VAE of the background; None for a black background.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["air2d"] = "air2d"
    image_size: int = Field(50, ge=8, le=512, description="height and width of an image, pixels")
    glimpse_size: int = Field(28, ge=4, le=128, description="height and width of a glimpse, pixels")
    max_objects: int = Field(3, ge=1, le=16)
    features: int = Field(256, ge=1, le=4096, description="units that encode the whole image")
    hidden: int = Field(256, ge=1, le=4096, description="units of the recurrent network")
    head: int = Field(200, ge=1, le=4096, description="units before the heads of presence and window")
    what: int = Field(50, ge=1, le=1024, description="dimensions of an object's appearance")
    glimpse_hidden: int = Field(200, ge=1, le=4096, description="units of the glimpse encoder and decoder")
    sigma: float = Field(0.3, gt=0, le=10, description="scale of pixel noise, grey levels")
    noise: AnyNoise = Field(GaussianNoise(), description="kind of pixel noise")
    inverse_scale_mean: float = Field(3.0, ge=SMALLEST_INVERSE_SCALE, le=64, description="mean of the prior")
    inverse_scale_std: float = Field(0.2, gt=0, le=64, description="standard deviation of the prior")
    centre_std: float = Field(1.0, gt=0, le=64, description="of the prior of centres, half image widths")
    presence_bias: float = Field(2.0, ge=-20, le=20, description="initial logit of presence")
    decoder_bias: float = Field(-2.0, ge=-20, le=20, description="initial logit of grey levels")
    aim: Literal["whole", "map"] = "whole"
    map_channels: int = Field(24, ge=1, le=1024, description="channels of the location map")
    salience: float = Field(
        0.0, ge=0, le=10, description="weight of the residual's log energy in the attention"
    )
    corrections: int = Field(0, ge=0, le=8, description="corrections of a window before it is encoded")
    sees: Literal["image", "difference", "both"] = "image"
    memory: Literal["recurrent", "none"] = "recurrent"
    drawing: Literal["adding", "covering"] = "adding"
    background: BackgroundSettings | None = None

    @model_validator(mode="after")
    def _salience_is_of_a_map(self) -> Self:
        if self.salience and self.aim != "map":
            raise ValueError(f"got salience {self.salience:g} without a map: set aim: map, or salience: 0")
        return self


class State(NamedTuple):
    """The state between steps.

    Attributes:
        images: (B, H, W).
        reconstruction: (B, H, W).
        features: (B, F), of the image.
        hidden: (B, H), recurrent state.
        cell: (B, H), recurrent state.
        previous: (B, 3 + D), the last latents.
        places: (B, C, P), the map of the image; None if steps do not read the image.
        behind: the background's code and its posterior; None without a background.
    """

    images: Tensor
    reconstruction: Tensor
    features: Tensor
    hidden: Tensor
    cell: Tensor
    previous: Tensor
    places: Tensor | None
    behind: tuple[Tensor, Gaussian] | None


class PresencePrediction(NamedTuple):
    """The first half of a step: presence, before the object is read.

    Attributes:
        source: (B, H, W), from which the glimpse is read.
        head: (B, ·), units.
        hidden: (B, ·), units.
        cell: (B, ·), units.
        place: the attended position of the map; None without a map.
        halt_logit: (B,), of no further object.
    """

    source: Tensor
    head: Tensor
    hidden: Tensor
    cell: Tensor
    place: Place | None
    halt_logit: Tensor


class Latents(NamedTuple):
    """One object of each image.

    Attributes:
        where: (B, 3), its window.
        what: (B, D), its appearance.
        glimpse: (B, G, G), decoded.
        before: (B, H, W), the reconstruction without the object.
        after: (B, H, W), the reconstruction with the object.
        q_where: posterior of the window.
        q_what: posterior of the appearance.
    """

    where: Tensor
    what: Tensor
    glimpse: Tensor
    before: Tensor
    after: Tensor
    q_where: Gaussian
    q_what: Gaussian


@register_network("air2d", Air2DSettings)
class Air2D(nn.Module):
    """Infers objects one by one, each from a glimpse; an `AirModel`."""

    prior_where_mean: Tensor
    prior_where_std: Tensor

    def __init__(self, settings: Air2DSettings) -> None:
        super().__init__()
        self.settings = settings
        self.observation_model = settings.noise.model(settings.sigma)
        self.encoder = nn.Linear(settings.image_size**2, settings.features)
        self.state_update = _recurrence(settings)
        self.head = nn.Linear(settings.hidden, settings.head)
        self.presence = nn.Linear(settings.head, 1)
        self.where = nn.Linear(settings.head, 2 * WHERE)
        if settings.aim == "map":
            channels = settings.map_channels
            self.map = LocationMap(channels)
            self.location_attention = LocationAttention(settings.image_size, channels, settings.head)
            if settings.sees == "both":
                self.image_map = LocationMap(channels)
                channels *= 2
            self.location_where = nn.Linear(channels, 2 * WHERE, bias=False)
            self.location_presence = nn.Linear(channels, 1, bias=False)
        glimpse = (settings.glimpse_size, settings.glimpse_hidden, settings.what)
        if settings.corrections:
            units = max(1, settings.glimpse_hidden // 2)
            self.window_correction = WindowCorrection(settings.glimpse_size, units, WHERE)
        self.glimpse_encoder = GlimpseEncoder(*glimpse)
        self.glimpse_decoder = GlimpseDecoder(*glimpse, bias=settings.decoder_bias)
        if settings.sees == "both":
            self.difference_encoder = nn.Linear(settings.image_size**2, settings.features, bias=False)
        if settings.background is not None:
            self.background = Background(settings.background, settings.image_size)
        scale, spread = settings.inverse_scale_mean, settings.centre_std
        self._fix("prior_where_mean", [scale, 0.0, 0.0])
        self._fix("prior_where_std", [settings.inverse_scale_std, spread, spread])
        self._start_near_the_prior()

    @property
    def max_objects(self) -> int:
        """N, the number of steps."""
        return self.settings.max_objects

    def begin(self, images: Tensor, sampler: Sampler) -> InitialState:
        """The state before the first step; the background is shared by all objects.

        Args:
            images: (B, 1, H, W).
        """
        nothing = images.new_zeros(len(images), self.settings.hidden)
        previous = images.new_zeros(len(images), WHERE + self.settings.what)
        features = nothing if self.settings.sees == "difference" else self.encoder(images.flatten(1))
        behind, reconstruction, kl = self._behind(images[:, 0], sampler)
        places = self._map_of(images[:, 0]) if self.settings.aim == "map" else None
        return InitialState(
            State(images[:, 0], reconstruction, features, nothing, nothing, previous, places, behind), kl
        )

    def step(self, state: State, sampler: Sampler) -> Step[State, ObjectStep]:
        """Infer one more object: its presence, window and appearance."""
        prediction = self.predict_presence(state)
        return Step(prediction.halt_logit, *self.attend(state, prediction, sampler))

    def predict_presence(self, state: State) -> PresencePrediction:
        """Predict the presence of one more object: the first, cheaper part of a step."""
        source, features = self._look(state)
        hidden, cell = self._update_state(features, state)
        head = torch.relu(self.head(hidden))
        present, place = self.presence(head), None
        if self.settings.aim == "map":
            place = self._aim(state.places, source, head)
            present = present + self.location_presence(place.features)
        return PresencePrediction(source, head, hidden, cell, place, -present[:, 0])

    def attend(
        self, state: State, prediction: PresencePrediction, sampler: Sampler
    ) -> tuple[ObjectStep, State]:
        """Infer the object and add it to the reconstruction: the second part of a step."""
        q_where = self._where_posterior(prediction)
        where = _bounded(sampler(q_where))
        q_what = self.glimpse_encoder(read_window(prediction.source, where, self.settings.glimpse_size))
        what = sampler(q_what)

        p_where, p_what = self._priors(what)
        kl = q_where.kl_to(p_where) + q_what.kl_to(p_what)
        glimpse = self.glimpse_decoder(what)
        after = self._draw(state.reconstruction, glimpse, where)
        objects = ObjectStep(Latents(where, what, glimpse, state.reconstruction, after, q_where, q_what), kl)
        previous = torch.cat([where, what], -1)
        carried = state._replace(
            reconstruction=after, hidden=prediction.hidden, cell=prediction.cell, previous=previous
        )
        return objects, carried

    def log_ratio(self, step: ObjectStep) -> Tensor:
        """log q(z | x, …) − log p(z) at a step's sampled latents: (B,), nats."""
        z = step.latents
        p_where, p_what = self._priors(z.what)
        log_q = z.q_where.log_prob(z.where) + z.q_what.log_prob(z.what)
        return log_q - p_where.log_prob(z.where) - p_what.log_prob(z.what)

    def log_ratio_shared(self, initial: State) -> Tensor:
        """log q − log p at the sampled code of the background, which all objects share: (B,), nats."""
        if initial.behind is None:
            return torch.zeros_like(initial.images[:, 0, 0])
        code, posterior = initial.behind
        return posterior.log_prob(code) - _unit(code).log_prob(code)

    def prefixes(self, objects: list[ObjectStep]) -> list[Tensor]:
        """Reconstructions from the first 0 … N objects: N + 1 of (B, 1, H, W)."""
        images = [objects[0].latents.before, *(step.latents.after for step in objects)]
        return [image[:, None] for image in images]

    def prefix_log_likelihoods(
        self, images: Tensor, objects: list[ObjectStep], likelihood: Likelihood | None = None
    ) -> Tensor:
        """log p(x | z_1 … z_n) for n = 0 … N: (B, N + 1), nats."""
        observation, scored_by = Observation(images), likelihood or self.observation_model
        each = [scored_by.log_prob(observation, Rendered(one)) for one in self.prefixes(objects)]
        return torch.stack(each, dim=-1)

    def _behind(
        self, images: Tensor, sampler: Sampler
    ) -> tuple[tuple[Tensor, Gaussian] | None, Tensor, Tensor]:
        """The background's code and posterior, the reconstruction without objects, and the KL divergence."""
        if self.settings.background is None:
            return None, torch.zeros_like(images), images.new_zeros(len(images))
        posterior = self.background.posterior(images)
        code = sampler(posterior)
        return (code, posterior), self.background.render(code), posterior.kl_to(_unit(code))

    def _look(self, state: State) -> tuple[Tensor, Tensor]:
        """The image from which the glimpse is read, (B, H, W), and features of the whole image, (B, F)."""
        if self.settings.sees == "image":
            return state.images, torch.relu(state.features)
        difference = state.images - state.reconstruction
        if self.settings.sees == "both":
            return difference, torch.relu(state.features + self.difference_encoder(difference.flatten(1)))
        return difference, torch.relu(self.encoder(difference.flatten(1)))

    def _map_of(self, images: Tensor) -> Tensor | None:
        """The map of the images, for all steps; None if steps do not read the images."""
        if self.settings.sees == "difference":
            return None
        return self.map(images) if self.settings.sees == "image" else self.image_map(images)

    def _aim(self, places: Tensor | None, source: Tensor, head: Tensor) -> Place:
        """The position of the map that the step attends to."""
        bias = self.settings.salience * salience(source) if self.settings.salience else 0.0
        if self.settings.sees == "image" and places is not None:
            return self.location_attention(places, head, bias=bias)
        left = self.map(source)
        return self.location_attention(
            left, head, left if places is None else torch.cat([left, places], 1), bias
        )

    def _update_state(self, features: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """The recurrent state after this step: hidden and cell, (B, H) each."""
        if self.settings.memory == "none":
            return torch.relu(self.state_update(features)), state.cell
        hidden, cell = self.state_update(
            torch.cat([features, state.previous], -1), (state.hidden, state.cell)
        )
        return hidden, cell

    def _draw(self, reconstruction: Tensor, glimpse: Tensor, where: Tensor) -> Tensor:
        """The reconstruction with one more object: (B, H, W)."""
        drawn = write_window(glimpse, where, self.settings.image_size, self.settings.image_size)
        return reconstruction + (drawn if self.settings.drawing == "adding" else (1 - reconstruction) * drawn)

    def _priors(self, what: Tensor) -> tuple[Gaussian, Gaussian]:
        """Priors of windows and of appearances."""
        return Gaussian(self.prior_where_mean, self.prior_where_std), _unit(what)

    def _where_posterior(self, prediction: PresencePrediction) -> Gaussian:
        parameters, mean = self.where(prediction.head), self.prior_where_mean
        if prediction.place is not None:
            parameters = parameters + self.location_where(prediction.place.features)
            mean = mean + pad(prediction.place.centre, (1, 0))
        for _ in range(self.settings.corrections):
            window = _bounded(mean + parameters[:, :WHERE])
            parameters = parameters + self.window_correction(
                read_window(prediction.source, window, self.settings.glimpse_size)
            )
        offset, raw_std = parameters.chunk(2, -1)
        return Gaussian(mean + offset, softplus(raw_std))

    def _fix(self, name: str, values: list[float]) -> None:
        self.register_buffer(name, torch.tensor(values), persistent=False)

    @torch.no_grad()
    def _start_near_the_prior(self) -> None:
        """Initialise the heads: objects are present, at the centre, with the prior's mean size."""
        self.presence.bias.fill_(self.settings.presence_bias)
        std = torch.tensor(INITIAL_WHERE_STD, device="cpu")  # expm1 on "meta" would import a compiler
        self.where.weight.mul_(0.1)
        self.where.bias[:WHERE] = 0
        self.where.bias[WHERE:] = torch.log(torch.expm1(std)).item()


def _unit(like: Tensor) -> Gaussian:
    """The standard normal distribution."""
    return Gaussian(torch.zeros_like(like), torch.ones_like(like))


def _recurrence(settings: Air2DSettings) -> nn.Module:
    if settings.memory == "none":
        return nn.Linear(settings.features, settings.hidden)
    return nn.LSTMCell(settings.features + WHERE + settings.what, settings.hidden)


def _bounded(where: Tensor) -> Tensor:
    """Keep windows from growing without bound: (B, 3)."""
    return torch.cat([where[:, :1].clamp_min(SMALLEST_INVERSE_SCALE), where[:, 1:]], -1)
