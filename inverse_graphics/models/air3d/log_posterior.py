"""The posterior's density at given scenes, the objective of the sleep and wake phases and of supervision.

All steps are computed in one pass through the network, each with the preceding prefix as input. Networks with
a recurrent state need one pass per step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import NO_MIXTURE, DefensiveMixture
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.features import Maps
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.posterior import ObjectPosterior
from inverse_graphics.models.air3d.recurrent_state import Hidden, ObjectEncoding
from inverse_graphics.models.air3d.scene_latents import Prefixes, depths
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.observation.observation import Observation


class LogPosterior(NamedTuple):
    """log q(scene | image) in parts, each (B,), nats.

    Attributes:
        camera: log density of the free camera parameters.
        presence: log probability of the count.
        objects: sum of the log densities of the present objects' kinds, positions and orientations.
    """

    camera: Tensor
    presence: Tensor
    objects: Tensor

    @property
    def total(self) -> Tensor:
        """log q of the scene: (B,)."""
        return self.camera + self.presence + self.objects


class _Steps(NamedTuple):
    """P steps of a batch.

    Attributes:
        image: (P,), index of the image.
        step: (P,), index of the step.
        posterior: posterior of the next object.
    """

    image: Tensor
    step: Tensor
    posterior: ObjectPosterior


def log_posterior(
    model: Air3D,
    observation: Observation,
    scenes: SceneLatents,
    prefixes: Prefixes,
    seen_orbit: Tensor | None = None,
    tie_m: float = 0.0,
    mixture: DefensiveMixture = NO_MIXTURE,
    space: SceneSpace | None = None,
) -> LogPosterior:
    """Compute log q(scenes | observation), with `prefixes` as the inputs of the steps.

    Args:
        model: the model.
        observation: B images.
        scenes: B scenes.
        prefixes: renders of the prefixes of these scenes, or of perturbed scenes, as in inference.
        seen_orbit: for perturbed scenes the orbit (B, 3) from which they were rendered.
        tie_m: the target of a step is any remaining object whose depth exceeds that of the nearest one by at
            most this, metres; the step's density is the mean over these objects.
        mixture: uniform component mixed into the posterior; it bounds the loss of improbable scenes, and
            their gradient vanishes.
        space: defines the symmetries; default the model's own.
    """
    space = space or model.space
    maps = model.features(observation)
    camera = model.camera(maps)
    log_camera = observation.rgb.new_zeros(len(observation))
    if camera is not None:
        log_camera = camera.log_prob(scenes.orbit[:, space.free])

    orbit = scenes.orbit if seen_orbit is None else seen_orbit
    steps = _one_by_one if model.settings.state == "recurrent" else _all_at_once
    presence = objects = torch.zeros_like(log_camera)
    for image, step, predicted in steps(model, maps, observation, scenes.counts, prefixes, orbit):
        posterior = model.with_certain(predicted, step)
        there = scenes.asset[image, step] >= 0
        allowed = _allowed(scenes, space, image, step, tie_m)
        log_prob = _step_log_prob(posterior, scenes, image, allowed, space, mixture)
        presence = presence.index_add(0, image, posterior.log_presence(there))
        objects = objects.index_add(0, image, torch.where(there, log_prob, 0.0))
    return LogPosterior(log_camera, presence, objects)


def _all_at_once(
    model: Air3D, maps: Maps, observation: Observation, counts: Tensor, prefixes: Prefixes, orbit: Tensor
) -> Iterator[_Steps]:
    """Compute all steps of a network whose input is the composite, in one pass.

    Args:
        counts: (B,), number of objects of each image.
    """
    image, step = _steps_taken(counts, model.max_objects)
    before = prefixes.renders[image, step]
    camera = model.space.cameras(orbit[image], prefixes.scenes.K[image])
    posterior = model.posterior(maps.fine[image], observation[image], before, orbit[image], camera)
    yield _Steps(image, step, posterior)


def _one_by_one(
    model: Air3D, maps: Maps, observation: Observation, counts: Tensor, prefixes: Prefixes, orbit: Tensor
) -> Iterator[_Steps]:
    """Compute the steps of a recurrent network one by one, each for the images that have it."""
    assert model.state_update is not None
    scenes, image = prefixes.scenes, torch.arange(len(counts), device=counts.device)
    before: Hidden = model.state_update.begin(observation.rgb)
    for step in range(model.max_objects):
        if step > 0:
            more = counts[image] >= step
            image, known = image[more], Hidden(before.units[more])
            asset, position, orientation = (
                part[image, step - 1] for part in (scenes.asset, scenes.position, scenes.orientation)
            )
            camera = model.space.cameras(orbit[image], prefixes.scenes.K[image])
            encoding = ObjectEncoding.from_latents(
                asset, position, orientation, orbit[image], camera, model.space
            )
            before = model.update_hidden(known, maps.fine[image], encoding)
        if not len(image):
            return
        camera = model.space.cameras(orbit[image], prefixes.scenes.K[image])
        posterior = model.posterior(maps.fine[image], observation[image], before, orbit[image], camera)
        yield _Steps(image, torch.full_like(image, step), posterior)


def _allowed(scenes: SceneLatents, space: SceneSpace, image: Tensor, step: Tensor, tie_m: float) -> Tensor:
    """The objects that are targets of each step, at least one: (P, N) bool."""
    slots = torch.arange(scenes.asset.shape[1], device=step.device)
    given = slots == step[:, None]
    if tie_m == 0:
        return given
    left = (slots >= step[:, None]) & (scenes.asset[image] >= 0)
    depth = depths(scenes, space)[image].masked_fill(~left, torch.inf)
    return given | (left & (depth <= depth.amin(-1, keepdim=True) + tie_m))


def _step_log_prob(
    posterior: ObjectPosterior,
    scenes: SceneLatents,
    image: Tensor,
    allowed: Tensor,
    space: SceneSpace,
    mixture: DefensiveMixture,
) -> Tensor:
    """Log of the mean density over the target objects: (P,), nats."""
    each = [
        posterior.log_prob(
            scenes.asset[image, slot].clamp(min=0),
            scenes.position[image, slot],
            scenes.orientation[image, slot],
            space,
            mixture,
        )
        for slot in range(allowed.shape[1])
    ]
    together = torch.stack(each, dim=-1).masked_fill(~allowed, -torch.inf)
    return together.logsumexp(-1) - allowed.sum(-1).log()


def _steps_taken(counts: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Image and step indices: one step per object, and one for the absence of further objects if N allows."""
    taken = torch.arange(most, device=counts.device) <= counts[:, None]
    image, step = torch.nonzero(taken, as_tuple=True)
    return image, step
