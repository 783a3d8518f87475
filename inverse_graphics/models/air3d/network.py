"""The 3D model: infers the camera, then one object per step from the image and the residual."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from inverse_graphics.distributions.discrete import Categorical
from inverse_graphics.distributions.normal import TruncatedNormal
from inverse_graphics.distributions.sampler import Sampler
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.families.registry import AnyFamilySettings
from inverse_graphics.halting import Step
from inverse_graphics.models.air import InitialState, ObjectStep
from inverse_graphics.models.air3d.features import (
    STRIDE,
    GlimpseFeatures,
    ImageFeatures,
    Maps,
    StepFeatures,
    halve,
)
from inverse_graphics.models.air3d.posterior import (
    CameraHead,
    LocationHead,
    ObjectHead,
    ObjectPosterior,
    camera_posterior,
    object_posterior,
    orientation_parameters,
)
from inverse_graphics.models.air3d.recurrent_state import Broadcast, Hidden, ObjectEncoding, Recurrence
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.models.weights import register_network
from inverse_graphics.observation import AnyNoise
from inverse_graphics.observation.channels import InputChannels
from inverse_graphics.observation.gaussian import GaussianNoise
from inverse_graphics.observation.model import Likelihood
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.packs.appearance import Appearance
from inverse_graphics.packs.pack import Pack
from inverse_graphics.rendering.backdrop import Backdrop, table_and_background
from inverse_graphics.rendering.compositing import compose
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, make_engine
from inverse_graphics.scene.batch import CameraBatch

Channels = Annotated[int, Field(ge=4, le=1024)]


class Air3DSettings(BaseModel):
    """Settings of the prior over scenes, of the image noise, and of the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["air3d"] = "air3d"
    family: AnyFamilySettings = Field(description="the prior over scenes")
    sigma: float = Field(0.05, gt=0, le=10, description="scale of pixel noise, grey levels")
    noise: AnyNoise = Field(GaussianNoise(), description="kind of pixel noise")
    state: Literal["canvas", "recurrent"] = Field(
        "canvas",
        description="what represents the previous objects: their render, or a recurrent state",
    )
    channels: tuple[Channels, Channels, Channels] = (32, 48, 96)
    hidden: int = Field(256, ge=1, le=4096, description="units between a step's features and its outputs")
    components: int = Field(
        4, ge=1, le=64, description="components of the mixture over an object's orientation"
    )
    presence_bias: float = Field(2.0, ge=-20, le=20, description="logit of presence at the start")
    activation: Literal["relu", "silu"] = Field(
        "relu",
        description="activation of the glimpse features; silu (after the norm) is better for rotations",
    )
    normalise_maps: bool = Field(
        True,
        description="whether the features of each cell of the maps are divided by their root mean square",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="precision of convolutions in training; auto is resolved by the run, else float32",
    )


CERTAIN = 30.0
"""Presence logit of objects that are in every scene of the family."""


class State(NamedTuple):
    """The state between steps.

    Attributes:
        observation: B images.
        maps: feature maps of the images.
        orbit: (B, 3), the inferred camera orbit.
        camera: the cameras on these orbits.
        backdrop: render of table and background.
        layers: layers of the inferred objects, None before the first.
        reconstruction: composite of the inferred objects.
        steps: number of steps done.
        hidden: recurrent state; None if the network is conditioned on the composite.
        precomputed_posterior: posterior of the next step, if it was computed already.
        reconstruction_gradient: whether gradients flow through the inputs of steps to earlier steps.
    """

    observation: Observation
    maps: Maps
    orbit: Tensor
    camera: CameraBatch
    backdrop: Backdrop
    layers: Layers | None
    reconstruction: Rendered
    steps: int
    hidden: Hidden | None = None
    precomputed_posterior: ObjectPosterior | None = None
    reconstruction_gradient: bool = True


class Latents(NamedTuple):
    """One sampled object of each image.

    Attributes:
        asset: (B,), kinds.
        position: (B, 2), metres on the scene's plane.
        orientation: (B,) yaws, radians, or (B, 3, 3) rotations.
        posterior: the posterior that was sampled.
        before: the renders without the object.
        after: the renders with the object.
    """

    asset: Tensor
    position: Tensor
    orientation: Tensor
    posterior: ObjectPosterior
    before: Rendered
    after: Rendered


@register_network("air3d", Air3DSettings, before={"normalise_maps": False})
class Air3D(nn.Module):
    """Infers a camera and up to N objects of known meshes; an `AirModel`.

    The input of a step is the image's features and the difference between the image and the composite of the
    objects inferred so far. With the setting `recurrent`, it is a recurrent state that is updated with these
    objects instead, and steps have no renderer.
    """

    def __init__(self, settings: Air3DSettings) -> None:
        super().__init__()
        self.settings = settings
        self.observation_model = settings.noise.model(settings.sigma)
        self.channels = InputChannels()
        self.space = SceneSpace(settings.family)
        self._engine: RenderEngine | None = None
        family, channels = self.space.family, settings.channels
        _, fine, coarse = channels
        self.encoder = ImageFeatures(self.channels.image_channels, channels, settings.normalise_maps)
        recurrent = settings.state == "recurrent"
        residual_encoder = (
            Broadcast(settings.hidden, fine, family.image_size // STRIDE)
            if recurrent
            else halve(self.channels.residual_channels, fine)
        )
        self.step_encoder = StepFeatures(channels, residual_encoder, settings.normalise_maps)
        if len(self.space.free):
            self.camera_head = CameraHead(coarse, (family.image_size // 8) ** 2, settings.hidden)
        orientation = orientation_parameters(settings.components, self.space.floating)
        several = family.max_objects > 1
        self.location_head = LocationHead(fine, coarse, settings.hidden, settings.presence_bias, several)
        glimpse = self.channels.image_channels if recurrent else self.channels.glimpse_channels
        self.glimpse_encoder = GlimpseFeatures(glimpse, channels, settings.hidden, settings.activation)
        self.object_head = ObjectHead(
            settings.hidden,
            settings.hidden,
            settings.hidden,
            len(family.kinds),
            orientation,
            settings.activation,
        )
        self.state_update = (
            Recurrence(fine, ObjectEncoding.size(self.space), settings.hidden) if recurrent else None
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def packs(self) -> Mapping[str, Pack]:
        """The asset packs whose objects the network knows, by name."""
        return self.space.family.packs

    @property
    def appearances(self) -> Mapping[str, Appearance]:
        """What can be seen of each object that the network knows, by asset name."""
        return self.space.family.appearances

    @property
    def packs_hash(self) -> str:
        """A hash of the files of those packs, by which older models know them."""
        return self.space.family.packs_hash

    @property
    def max_objects(self) -> int:
        """N, the number of steps."""
        return self.space.family.max_objects

    @property
    def engine(self) -> RenderEngine:
        """The render engine; default the embedded one."""
        if self._engine is None:
            self._engine = make_engine(DEFAULT_ENGINE, self.space.family.library.to(self.space.reach.device))
        return self._engine

    @engine.setter
    def engine(self, engine: RenderEngine) -> None:
        self._engine = engine

    def begin(
        self, observation: Observation, sampler: Sampler, reconstruction_gradient: bool = True
    ) -> InitialState:
        """Encode the images and infer the camera; see `begin_from`."""
        return self.begin_from(observation, self.features(observation), sampler, reconstruction_gradient)

    def begin_from(
        self, observation: Observation, maps: Maps, sampler: Sampler, reconstruction_gradient: bool = True
    ) -> InitialState:
        """Infer the camera from feature maps.

        Args:
            observation: B images; those without K have the family's.
            maps: their feature maps.
            sampler: takes latents from their posteriors.
            reconstruction_gradient: whether gradients flow through the inputs of steps (the reconstruction,
                or the encoding of an object) to earlier steps.
        """
        posterior, images = self.camera(maps), observation.rgb
        if posterior is None:
            orbit, kl = self.space.orbit_low.expand(len(images), 3), images.new_zeros(len(images))
        else:
            orbit, kl = self.space.orbit(sampler(posterior)), posterior.kl_to_uniform()
        scene = self.space.scene(self.space.without_objects(orbit, self.space.intrinsics(observation)))
        backdrop = table_and_background(scene.table, scene.background, scene.camera, scene.light)
        empty = Rendered.from_backdrop(backdrop)
        hidden = None if self.state_update is None else self.state_update.begin(images)
        state = State(observation, maps, orbit, scene.camera, backdrop, None, empty, 0, hidden)
        return InitialState(state._replace(reconstruction_gradient=reconstruction_gradient), kl)

    def step(self, state: State, sampler: Sampler) -> Step[State, ObjectStep]:
        """Infer one more object: presence, kind, position and orientation."""
        posterior = self.look(state)
        position, asset = sampler(posterior.position), sampler(Categorical(posterior.identity)).long()
        orientation = sampler(posterior.visible_orientation(asset, self.space))
        after, carried = self._add(state, asset, position, orientation)
        if state.hidden is not None:
            encoding = ObjectEncoding.from_latents(
                asset, position, orientation, state.orbit, state.camera, self.space
            )
            encoding = encoding if state.reconstruction_gradient else encoding.detached()
            carried = carried._replace(hidden=self.update_hidden(state.hidden, state.maps.fine, encoding))
        latents = Latents(asset, position, orientation, posterior, state.reconstruction, after)
        return Step(
            -posterior.presence, ObjectStep(latents, self._kl(posterior, asset, orientation)), carried
        )

    def prefixes(self, objects: list[ObjectStep]) -> list[Rendered]:
        """Renders of the first 0 … N objects: N + 1 batches of B images."""
        return [objects[0].latents.before, *(step.latents.after for step in objects)]

    def prefix_log_likelihoods(
        self, observation: Observation, objects: list[ObjectStep], likelihood: Likelihood | None = None
    ) -> Tensor:
        """log p(x | camera, z_1 … z_n) for n = 0 … N: (B, N + 1), nats."""
        scored_by = likelihood or self.observation_model
        each = [scored_by.log_prob(observation, render) for render in self.prefixes(objects)]
        return torch.stack(each, dim=-1)

    def features(self, observation: Observation) -> Maps:
        """Compute the feature maps of images."""
        with self._autocast(observation.rgb):
            maps: Maps = self.encoder(self.channels.image(observation))
            return maps

    def camera(self, maps: Maps) -> TruncatedNormal | None:
        """Compute the posterior of the camera's free parameters, None if there are none."""
        if not len(self.space.free):
            return None
        return camera_posterior(self.camera_head(maps), self.space)

    def look(self, state: State) -> ObjectPosterior:
        """Compute the posterior of the next object."""
        if state.precomputed_posterior is not None:
            return state.precomputed_posterior
        before: Rendered | Hidden = state.hidden or state.reconstruction
        if isinstance(before, Rendered) and not state.reconstruction_gradient:
            before = before.map(torch.Tensor.detach)
        posterior = self.posterior(state.maps.fine, state.observation, before, state.orbit, state.camera)
        return self.with_certain(
            posterior, torch.full_like(posterior.presence, state.steps, dtype=torch.int64)
        )

    def posterior(
        self,
        fine: Tensor,
        observation: Observation,
        before: Rendered | Hidden,
        orbit: Tensor,
        camera: CameraBatch,
    ) -> ObjectPosterior:
        """Compute the posterior of the next object from fine maps and the state `before` it."""
        camera_head = torch.stack([orbit[:, 0].cos(), orbit[:, 0].sin()], dim=-1)
        if isinstance(before, Hidden):
            residual, glimpse_input = before.units, self.channels.image(observation)
        else:
            residual = self.channels.residual(observation, before)
            glimpse_input = self.channels.glimpse(observation, before)
        with self._autocast(fine):
            maps = self.step_encoder(fine, residual)
        place = self.location_head(maps, camera_head)
        with self._autocast(fine):
            glimpse = self.glimpse_encoder(glimpse_input, place.pixel)
        return object_posterior(self.object_head(place, glimpse), camera, orbit[:, 0], self.space)

    def update_hidden(self, before: Hidden, fine: Tensor, encoding: ObjectEncoding) -> Hidden:
        """Update the recurrent state with one more object."""
        assert self.state_update is not None
        after: Hidden = self.state_update(before, fine, encoding)
        return after

    def with_certain(self, posterior: ObjectPosterior, index: Tensor) -> ObjectPosterior:
        """Set the presence logit of objects that are in every scene of the family to `CERTAIN`."""
        certain = index < self.space.smallest_count
        return posterior._replace(presence=torch.where(certain, CERTAIN, posterior.presence))

    def _kl(self, posterior: ObjectPosterior, asset: Tensor, orientation: Tensor) -> Tensor:
        """KL divergence, exact for kind and position, sampled for an observable orientation: (B,), nats.

        It has no gradient with respect to the kind: without a likelihood gradient it would pull kinds towards
        the uniform distribution and towards kinds without an orientation.
        """
        log_identity = posterior.identity.detach()
        named = (log_identity.exp() * log_identity).sum(-1) + math.log(len(self.space.orientation_observable))
        rotation = posterior.visible_orientation(asset, self.space).kl_to_uniform(orientation)
        return (
            named + posterior.position.kl_to_uniform() + self.space.orientation_observable[asset] * rotation
        )

    def _add(
        self, state: State, asset: Tensor, position: Tensor, orientation: Tensor
    ) -> tuple[Rendered, State]:
        """Add one object to the layers and update the composite."""
        one = self.space.scene(
            SceneLatents(state.orbit, asset[:, None], position[:, None], orientation[:, None], state.camera.K)
        )
        new = self.engine.layers(one.objects, one.camera, one.light)
        layers = (
            new
            if state.layers is None
            else Layers(*(torch.cat(pair, dim=1) for pair in zip(state.layers, new, strict=True)))
        )
        assert state.reconstruction.coverage is not None
        coverage = 1 - (1 - state.reconstruction.coverage) * (1 - new.alpha)
        after = Rendered.from_rendering(compose(layers, state.backdrop)).replace(coverage=coverage)
        return after, state._replace(
            layers=layers, reconstruction=after, steps=state.steps + 1, precomputed_posterior=None
        )

    def _autocast(self, like: Tensor) -> torch.autocast:
        fast = self.training and self.settings.precision == "bfloat16"
        return torch.autocast(like.device.type, torch.bfloat16, enabled=fast)
