"""Point estimates of the 3D model, at the posteriors' centres, with summaries of the inferred objects.

The summaries are used to detect outliers. An unknown object is explained by a known kind of similar position
and size; what distinguishes it are its colours and the distribution of reconstruction errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from inverse_graphics.distributions.sampler import PointEstimate
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air3d.network import Air3D, Latents
from inverse_graphics.models.air3d.proposals import sampled_latents
from inverse_graphics.models.outlier_detector import ParsedImages
from inverse_graphics.observation.observation import Observation
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.tensor_batch import TensorBatch


@dataclass(frozen=True)
class SceneReading(TensorBatch):
    """The inferred scenes of B images.

    Attributes:
        scenes: scenes with the most probable counts and kinds, and poses at the posteriors' centres.
        count_probabilities: (B, N + 1).
        identity_probability: (B, N), probability of each object's kind.
        position_std: (B, N, 2), metres along the axes of the scene's plane.
        prefixes: (B, N + 1, 3, H, W), renders of the first 0 … N objects.
        log_likelihood: (B,), log-likelihood of the image given the scene, nats.
    """

    scenes: SceneLatents
    count_probabilities: Tensor
    identity_probability: Tensor
    position_std: Tensor
    prefixes: Tensor
    log_likelihood: Tensor


@torch.no_grad()
def read_scenes(model: Air3D, observation: Observation) -> SceneReading:
    """Infer the scenes of B images of the model's size."""
    inference = attend_infer_repeat(model, observation, PointEstimate())
    latents: list[Latents] = [step.latents for step in inference.objects]
    count = inference.most_probable_count
    found = sampled_latents(inference)
    there = torch.arange(model.max_objects, device=count.device) < count[:, None]
    return SceneReading(
        scenes=found.replace(asset=found.asset.where(there, -1)),
        count_probabilities=inference.log_count.exp(),
        identity_probability=torch.stack([one.posterior.identity.amax(-1).exp() for one in latents], 1),
        position_std=torch.stack([one.posterior.position.std for one in latents], 1),
        prefixes=torch.stack([render.rgb for render in model.prefixes(inference.objects)], 1),
        log_likelihood=inference.log_likelihood.gather(1, count[:, None])[:, 0],
    )


STATISTICS = (
    "red", "green", "blue", "red error", "green error", "blue error",
    "error inside", "error around", "error elsewhere", "size",
)  # fmt: skip
UNSEEN, SMALL = 0.5, 1e-3
"""Added to squared errors and to areas in pixels, so that the logarithms are finite for invisible objects."""


@torch.no_grad()
def summarised(model: Air3D, observation: Observation, reading: SceneReading) -> ParsedImages:
    """Compute the statistics for the outlier detector.

    Args:
        model: the model.
        observation: B images.
        reading: their inferred scenes.
    """
    summaries = object_summaries(observation.rgb, _drawn(reading), _visible(model, reading))
    parts = (reading.scenes.counts, reading.log_likelihood, summaries)
    return ParsedImages(*(part.cpu().numpy() for part in parts))


def object_summaries(images: Tensor, reconstructions: Tensor, visible: Tensor) -> Tensor:
    """Compute the `STATISTICS` of each object: (B, N, 10).

    Colours and colour errors are means over the visible part of the object, of the image and of its
    difference from the reconstruction. Errors are logarithms of mean squared differences, smoothed to
    suppress noise: inside the visible part, in a margin around it, and elsewhere. Size is the logarithm of
    the square root of the area in pixels.

    Args:
        images: (B, 3, H, W) in [0, 1].
        reconstructions: (B, 3, H, W) in [0, 1].
        visible: (B, N, H, W), visible share of each pixel; statistics of invisible objects are undefined.
    """
    difference = images - reconstructions
    error = avg_pool2d(difference, 3, 1, 1).square().mean(1, keepdim=True)
    near = _near(visible)
    around = (near - visible).clamp(min=0)
    elsewhere = (1 - near.sum(1, keepdim=True)).clamp(min=0).expand_as(visible)
    own = _means(torch.cat([images, difference, error], dim=1), visible)  # (B, N, 7)
    errors = [own[..., 6], *(_means(error, place)[..., 0] for place in (around, elsewhere))]
    logarithms = [(value + SMALL).log() for value in errors]
    size = 0.5 * (visible.sum((-1, -2)) + UNSEEN).log()
    return torch.cat([own[..., :6], torch.stack([*logarithms, size], dim=-1)], dim=-1)


def _means(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted means of channels (B, C, H, W), by weights (B, N, H, W): (B, N, C)."""
    total = weights.flatten(2) @ values.flatten(2).transpose(1, 2)
    return total / (weights.sum((-1, -2)) + UNSEEN)[..., None]


def _near(visible: Tensor) -> Tensor:
    """Dilate visible shares by two to three pixels, at half resolution: (B, N, H, W), H and W even."""
    return interpolate(max_pool2d(max_pool2d(visible, 2), 3, 1, 1), scale_factor=2.0, mode="nearest")


def _drawn(reading: SceneReading) -> Tensor:
    """The reconstructions of the inferred scenes: (B, 3, H, W)."""
    counts = reading.scenes.counts
    return reading.prefixes[torch.arange(len(counts), device=counts.device), counts]


def _visible(model: Air3D, reading: SceneReading) -> Tensor:
    """Instance masks of the inferred scenes: (B, N, H, W), one or zero."""
    found = reading.scenes
    scene = model.space.scene(found)
    seen = render(scene, model.engine).instance_mask
    slots = torch.arange(found.asset.shape[1], device=seen.device)
    return (seen[:, None] == slots[:, None, None]).to(found.position)
