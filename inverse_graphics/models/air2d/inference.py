"""Point estimates of the 2D model for images, at the posterior means, with summaries of the inferred objects.

The summaries are used to detect outliers. The likelihood of the pixels does not suffice: it is higher for
images that are simpler than the training images, such as a disc or a square (Nalisnick et al. 2018, "Do Deep
Generative Models Know What They Don't Know?").
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
"""The grey level above which a pixel is ink, that is, foreground."""
STATISTICS = ("longer side", "aspect", "ink", "edges", "contrast", "error inside", "error outside")


def ownership(windows: Tensor, counts: Tensor, height: int, width: int) -> Tensor:
    """Assign pixels to objects: (B, N, H, W), one or zero.

    A pixel belongs to the present object whose window's centre is nearest, if it lies in that window or
    within a pixel of it.


    Args:
        windows: (B, N, 4), x, y, width, height, pixels.
        counts: (B,), number of present objects, at most N.
        height: of the image, pixels.
        width: of the image, pixels.
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
    """Compute the `STATISTICS` of each object's pixels, on logarithmic scales: (B, N, 7).

    Args:
        images: (B, H, W) in [0, 1].
        reconstructions: (B, H, W) in [0, 1].
        owned: (B, N, H, W), see `ownership`; values of objects without pixels are undefined.
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
    """Compute bounding boxes of masks: x, y, width, height in pixels, zeros for an empty mask.

    Args:
        visible: (..., H, W), bool.

    Returns:
        (..., 4), float32.
    """
    columns, rows = visible.any(-2).float(), visible.any(-1).float()
    x, y = columns.argmax(-1), rows.argmax(-1)
    right = columns.shape[-1] - columns.flip(-1).argmax(-1)
    bottom = rows.shape[-1] - rows.flip(-1).argmax(-1)
    boxes = torch.stack([x, y, right - x, bottom - y], dim=-1).float()
    return boxes * columns.amax(-1, keepdim=True)


def _edge_energy(images: Tensor, owned: Tensor) -> Tensor:
    """The sum over each object's pixels of squared differences between neighbours: (B, N)."""
    across = images.diff(dim=-1).square()[:, None] * owned[..., 1:]
    down = images.diff(dim=-2).square()[:, None] * owned[..., 1:, :]
    return across.sum((-1, -2)) + down.sum((-1, -2))


class Reading(NamedTuple):
    """The inferred objects of B images; the first `counts` of N are present, the others are undefined.

    Attributes:
        counts: (B,), the most probable count.
        count_probabilities: (B, N + 1).
        log_likelihoods: (B,), log p(image | inferred objects), nats.
        prefixes: (B, L + 1, H, W), reconstructions from the first 0 … L objects, clamped to [0, 1]; L is at
            least the largest count of the batch.
        windows: (B, N, 4), attention windows, x, y, width, height, pixels.
        boxes: (B, N, 4), in the same form, bounding boxes of the ink in each window, or the window if there
            is none.
        summaries: (B, N, D), see `object_summaries`.
    """

    counts: Tensor
    count_probabilities: Tensor
    log_likelihoods: Tensor
    prefixes: Tensor
    windows: Tensor
    boxes: Tensor
    summaries: Tensor

    def parsed_images(self) -> ParsedImages:
        """The part that the outlier detector uses."""
        return ParsedImages(
            *(part.cpu().numpy() for part in (self.counts, self.log_likelihoods, self.summaries))
        )


@torch.no_grad()
def read_images(network: Air2D, images: Tensor) -> Reading:
    """Infer the objects of a batch, each image up to the first object that is more probably absent.

    Args:
        network: the model.
        images: (B, 1, H, W) in [0, 1].
    """
    inference = infer_until_absent(network, images, PointEstimate())
    counts, size = inference.counts, network.settings.image_size
    prefixes = _prefixes(inference)
    windows = _windows(inference, size)
    owned = ownership(windows, counts, size, size)
    boxes = ink_boxes(images * owned > INK)
    unused = network.max_objects - windows.shape[1]
    reconstruction = prefixes[torch.arange(len(images), device=images.device), counts]
    return Reading(
        counts=counts,
        count_probabilities=inference.log_count.exp(),
        log_likelihoods=network.observation_model.log_prob(
            Observation(images), Rendered(reconstruction[:, None])
        ),
        prefixes=prefixes.clamp(0, 1),
        windows=pad(windows, (0, 0, 0, unused)),
        boxes=pad(torch.where(boxes[..., 2:3] > 0, boxes, windows), (0, 0, 0, unused)),
        summaries=pad(object_summaries(images[:, 0], reconstruction, owned), (0, 0, 0, unused)),
    )


def _prefixes(inference: EarlyStoppedInference) -> Tensor:
    """Reconstructions from the first 0 … L objects, or from all if there are fewer: (B, L + 1, H, W)."""
    empty: Tensor = inference.initial.reconstruction
    prefixes = [empty]
    for rows, step in inference.objects:
        prefixes.append(prefixes[-1].index_copy(0, rows, step.latents.after))
    return torch.stack(prefixes, dim=1)


def _windows(inference: EarlyStoppedInference, size: int) -> Tensor:
    """Windows of the first L objects, at least one; zeros where there is none: (B, L, 4), pixels."""
    zeros = inference.log_count.new_zeros(len(inference.log_count), 4)
    windows = [
        zeros.index_copy(0, rows, window_box(step.latents.where, size, size))
        for rows, step in inference.objects
    ]
    return torch.stack(windows or [zeros], dim=1)
