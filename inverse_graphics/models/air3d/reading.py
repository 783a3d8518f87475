"""What a trained network says of images: its answer at the posteriors' centres."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import AtMeans
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air3d.network import Air3D, Latents
from inverse_graphics.models.air3d.proposals import inferred_scenes
from inverse_graphics.models.air3d.staged import StagedScenes


class SceneReading(NamedTuple):
    """Of B images.

    scenes: of the most probable count, kinds and poses at the posteriors' centres.  count_probabilities:
    (B, N + 1).  identity_probability: (B, N), of each object's kind.  position_std: (B, N, 2), metres along
    the stage's axes.  prefixes: (B, N + 1, 3, H, W), drawn.  log_likelihood: (B,), nats, of the image given
    the reading.
    """

    scenes: StagedScenes
    count_probabilities: Tensor
    identity_probability: Tensor
    position_std: Tensor
    prefixes: Tensor
    log_likelihood: Tensor


@torch.no_grad()
def read_scenes(model: Air3D, images: Tensor) -> SceneReading:
    """Parse images.  images: (B, 3, H, W) in [0, 1], as large as the model was made for."""
    inference = attend_infer_repeat(model, images, AtMeans())
    latents: list[Latents] = [step.latents for step in inference.objects]
    count = inference.most_probable_count
    found = inferred_scenes(inference)
    there = torch.arange(model.max_objects, device=images.device) < count[:, None]
    return SceneReading(
        scenes=found._replace(asset=found.asset.where(there, -1)),
        count_probabilities=inference.log_count.exp(),
        identity_probability=torch.stack([one.posterior.identity.amax(-1).exp() for one in latents], 1),
        position_std=torch.stack([one.posterior.position.std for one in latents], 1),
        prefixes=torch.stack([latents[0].before] + [one.after for one in latents], 1),
        log_likelihood=inference.log_likelihood.gather(1, count[:, None])[:, 0],
    )
