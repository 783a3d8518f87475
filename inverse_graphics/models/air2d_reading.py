"""What the 2D model says of images when it must give one answer: everything at the posterior means."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import AtMeans
from inverse_graphics.models.air2d import SMALLEST_INVERSE_SCALE, Air2D
from inverse_graphics.models.attention import window_box
from inverse_graphics.models.early_stop import infer_until_absent
from inverse_graphics.models.familiarity import ParsedImages
from inverse_graphics.models.object_summary import INK, ink_boxes, object_summaries, ownership


class Reading(NamedTuple):
    """B images read; of N objects the first `counts` are present; what is said of others means nothing.

    counts: (B,), the most probable count.  count_probabilities: (B, N + 1).
    log_likelihoods: (B,), log p(image | the objects found), nats.
    prefixes: (B, L + 1, H, W), the picture of the first 0 … L objects, clamped to [0, 1]; L is the
    largest count of the batch, or more.
    windows: (B, N, 4), attention windows, x, y, width, height, pixels.  boxes: (B, N, 4), likewise, the
    smallest that hold the image's ink within each window, or the windows where there is none.
    summaries: (B, N, D), see `object_summary`.
    """

    counts: Tensor
    count_probabilities: Tensor
    log_likelihoods: Tensor
    prefixes: Tensor
    windows: Tensor
    boxes: Tensor
    summaries: Tensor

    def parsed_images(self) -> ParsedImages:
        """The part by which images are told from unfamiliar ones."""
        return ParsedImages(
            *(part.cpu().numpy() for part in (self.counts, self.log_likelihoods, self.summaries))
        )


@torch.no_grad()
def read_images(network: Air2D, images: Tensor) -> Reading:
    """Read a batch, no further than the first object that is rather not there.

    images: (B, 1, H, W) in [0, 1].
    """
    inference = infer_until_absent(network, images, AtMeans())
    counts, size = inference.most_probable_count, network.settings.image_size
    latents = [step.latents for step in inference.objects]
    prefixes = torch.stack(network.prefixes(inference.objects), dim=1)[:, :, 0]
    windows = torch.stack([window_box(_somewhere(z.where), size, size) for z in latents], dim=1)
    windows = torch.nn.functional.pad(windows, (0, 0, 0, network.max_objects - len(latents)))
    owned = ownership(windows, counts, size, size)
    boxes = ink_boxes(images * owned > INK)
    chosen = torch.arange(len(images), device=images.device)
    return Reading(
        counts=counts,
        count_probabilities=inference.log_count.exp(),
        log_likelihoods=inference.log_likelihood[chosen, counts],
        prefixes=prefixes.clamp(0, 1),
        windows=windows,
        boxes=torch.where(boxes[..., 2:3] > 0, boxes, windows),
        summaries=object_summaries(images[:, 0], prefixes[chosen, counts], owned),
    )


def _somewhere(where: Tensor) -> Tensor:
    """Windows of which some were never inferred, these being as large as windows can be: (B, 3)."""
    return torch.cat([where[:, :1].clamp_min(SMALLEST_INVERSE_SCALE), where[:, 1:]], dim=-1)
