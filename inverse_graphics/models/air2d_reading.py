"""What the 2D model says of images when it must give one answer: everything at the posterior means."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from inverse_graphics.distributions.sampler import AtMeans
from inverse_graphics.models.air2d import Air2D
from inverse_graphics.models.attention import window_box
from inverse_graphics.models.early_stop import Findings, find_until_absent
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
    findings = find_until_absent(network, images, AtMeans())
    counts, size = findings.counts, network.settings.image_size
    prefixes = _prefixes(findings)
    windows = _windows(findings, size)
    owned = ownership(windows, counts, size, size)
    boxes = ink_boxes(images * owned > INK)
    unused = network.max_objects - windows.shape[1]
    picture = prefixes[torch.arange(len(images), device=images.device), counts]
    return Reading(
        counts=counts,
        count_probabilities=findings.log_count.exp(),
        log_likelihoods=network.likelihood.log_prob(images, picture[:, None]),
        prefixes=prefixes.clamp(0, 1),
        windows=pad(windows, (0, 0, 0, unused)),
        boxes=pad(torch.where(boxes[..., 2:3] > 0, boxes, windows), (0, 0, 0, unused)),
        summaries=pad(object_summaries(images[:, 0], picture, owned), (0, 0, 0, unused)),
    )


def _prefixes(findings: Findings) -> Tensor:
    """The pictures of the first 0 … L objects, and of all where there are fewer: (B, L + 1, H, W)."""
    nothing: Tensor = findings.beginning.picture
    pictures = [nothing]
    for rows, step in findings.objects:
        pictures.append(pictures[-1].index_copy(0, rows, step.latents.after))
    return torch.stack(pictures, dim=1)


def _windows(findings: Findings, size: int) -> Tensor:
    """Those of the first L objects, one at least; zeros where there is none: (B, L, 4), pixels."""
    nowhere = findings.log_count.new_zeros(len(findings.log_count), 4)
    windows = [
        nowhere.index_copy(0, rows, window_box(step.latents.where, size, size))
        for rows, step in findings.objects
    ]
    return torch.stack(windows or [nowhere], dim=1)
