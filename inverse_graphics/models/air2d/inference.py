"""What the 2D model says of images when it must give one answer: everything at the posterior means.

A few numbers about each object that was found: enough to tell digits from what is not a digit.

A likelihood of pixels alone cannot: what is simpler than the training images (a disc, a square) is explained
even better than they are (Nalisnick et al. 2018, "Do Deep Generative Models Know What They Don't Know?").
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from inverse_graphics.distributions.sampler import PointEstimate
from inverse_graphics.models.air2d.attention import window_box
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.models.early_stop import EarlyStoppedInference, infer_until_absent
from inverse_graphics.models.outlier_detector import ParsedImages
from inverse_graphics.observation.observation import Observation, Rendered

INK = 0.1
"""The grey level from which a pixel counts as ink."""
STATISTICS = ("longer side", "aspect", "ink", "edges", "contrast", "error inside", "error outside")


def ownership(windows: Tensor, counts: Tensor, height: int, width: int) -> Tensor:
    """Which pixels belong to which object: (B, N, H, W), one or zero.

    A pixel belongs to the present object whose window's centre is nearest, if it lies in that window or
    within a pixel of it.  windows: (B, N, 4), x, y, width, height, pixels.  counts: (B,), how many of the
    N objects are present.
    """
    columns = torch.arange(width, device=windows.device) + 0.5
    rows = torch.arange(height, device=windows.device)[:, None] + 0.5
    x, y, extent_x, extent_y = (part[..., None, None] for part in windows.unbind(-1))
    across, down = columns - x - extent_x / 2, rows - y - extent_y / 2
    inside = (across.abs() <= extent_x / 2 + 1) & (down.abs() <= extent_y / 2 + 1)
    present = torch.arange(windows.shape[1], device=windows.device) < counts[:, None]
    distance = (across.square() + down.square()).masked_fill(~present[..., None, None], torch.inf)
    nearest = distance == distance.amin(1, keepdim=True)
    return (nearest & inside & present[..., None, None]).to(windows.dtype)


def object_summaries(images: Tensor, reconstructions: Tensor, owned: Tensor) -> Tensor:
    """What each object looks like, in the order of `STATISTICS`, on logarithmic scales: (B, N, 7).

    images, reconstructions: (B, H, W) in [0, 1].  owned: (B, N, H, W), see `ownership`; the numbers of
    objects that own nothing mean nothing.
    """
    part = images[:, None] * owned
    _, _, width, height = ink_boxes(part > INK).clamp_min(1).unbind(-1)
    ink, energy = part.sum((-1, -2)), part.square().sum((-1, -2))
    error = (images - reconstructions).square()
    error_inside = (error[:, None] * owned).sum((-1, -2))
    error_outside = error.sum((-1, -2))[:, None] - error_inside.sum(-1, keepdim=True)
    statistics = [
        torch.maximum(width, height).log(),
        (height / width).log(),
        (ink + 0.5).log(),
        ((_edge_energy(images, owned) + 0.5) / (ink + 0.5)).log(),
        ((energy + 0.5) / (ink + 0.5)).log(),
        (error_inside / (energy + 0.5) + 0.02).log(),
        (error_outside.clamp_min(0) + 0.5).log().expand_as(ink),
    ]
    return torch.stack(statistics, dim=-1)


def ink_boxes(visible: Tensor) -> Tensor:
    """The smallest boxes that hold what is visible: x, y, width, height in pixels, zeros where nothing is.

    visible: (..., H, W), bool.  Returns (..., 4), float32.
    """
    columns, rows = visible.any(-2).float(), visible.any(-1).float()
    x, y = columns.argmax(-1), rows.argmax(-1)
    right = columns.shape[-1] - columns.flip(-1).argmax(-1)
    bottom = rows.shape[-1] - rows.flip(-1).argmax(-1)
    boxes = torch.stack([x, y, right - x, bottom - y], dim=-1).float()
    return boxes * columns.amax(-1, keepdim=True)


def _edge_energy(images: Tensor, owned: Tensor) -> Tensor:
    """Squared differences between neighbouring pixels, summed over each object's own: (B, N)."""
    across = images.diff(dim=-1).square()[:, None] * owned[..., 1:]
    down = images.diff(dim=-2).square()[:, None] * owned[..., 1:, :]
    return across.sum((-1, -2)) + down.sum((-1, -2))


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
    findings = infer_until_absent(network, images, PointEstimate())
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
        log_likelihoods=network.observation_model.log_prob(Observation(images), Rendered(picture[:, None])),
        prefixes=prefixes.clamp(0, 1),
        windows=pad(windows, (0, 0, 0, unused)),
        boxes=pad(torch.where(boxes[..., 2:3] > 0, boxes, windows), (0, 0, 0, unused)),
        summaries=pad(object_summaries(images[:, 0], picture, owned), (0, 0, 0, unused)),
    )


def _prefixes(findings: EarlyStoppedInference) -> Tensor:
    """The pictures of the first 0 … L objects, and of all where there are fewer: (B, L + 1, H, W)."""
    nothing: Tensor = findings.initial.reconstruction
    pictures = [nothing]
    for rows, step in findings.objects:
        pictures.append(pictures[-1].index_copy(0, rows, step.latents.after))
    return torch.stack(pictures, dim=1)


def _windows(findings: EarlyStoppedInference, size: int) -> Tensor:
    """Those of the first L objects, one at least; zeros where there is none: (B, L, 4), pixels."""
    nowhere = findings.log_count.new_zeros(len(findings.log_count), 4)
    windows = [
        nowhere.index_copy(0, rows, window_box(step.latents.where, size, size))
        for rows, step in findings.objects
    ]
    return torch.stack(windows or [nowhere], dim=1)
