"""How colours change when what a pixel shows moves on: by the picture's own slope, not by the surface's.

A lip thinner than a pixel has normals that turn by half a circle: at the pixel's centre the brightness has a
slope that the pixel as a whole has not. So has a texture or a coloured mesh much finer than the pixels.
Loper and Black 2014, "OpenDR", differentiate the picture instead: colours go where the surface goes, and the
slope of a colour is half the difference of the two pixels beside it. Along a row of pixels such slopes sum up
to what the colour changes from end to end: a detail counts as much as it is seen, however thin it is.

Pictures are the same either way, and so are gradients of depth and alpha, and those with respect to light.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Slopes = Literal["picture", "surface"]


def between_pixels(rgb: Tensor, fragments: Tensor, crossings: Tensor) -> Tensor:
    """How colours change from pixel to pixel, (2, 3, n), to the right and down.

    rgb: (3, n), at the centres of fragments (n, 4).  Each pixel has half of its differences to those beside
    it. Pixels of no face, or beyond a discontinuity (crossings: (k, 8)), make none: what happens there
    is the discontinuity's to say.
    """
    if not len(fragments):
        return rgb.new_zeros(2, *rgb.shape)
    layer, x, y = fragments[:, 0].long(), fragments[:, 1].long() + 1, fragments[:, 2].long() + 1
    width, height = int(x.max()) + 2, int(y.max()) + 2
    place = (layer * height + y) * width + x
    before, after = _crossed(crossings, len(place))
    slopes = []
    for axis, step in enumerate((1, width)):
        other = torch.searchsorted(place, place + step).clamp(max=len(place) - 1)
        joined = (place[other] == place + step) & ~after[axis]
        # an edge that comes down one column as a stair crosses the other axis on both sides of the step
        across = 1 - axis
        joined &= ~(before[across] & after[across][other] | after[across] & before[across][other])
        one, other = joined.nonzero()[:, 0], other[joined]
        half = (rgb[:, other] - rgb[:, one]) / 2
        slopes.append(torch.zeros_like(rgb).index_add(1, one, half).index_add(1, other, half))
    return torch.stack(slopes)


def _crossed(crossings: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Whether an edge passes before, and after, each of `count` fragments, along each axis: (2, count)."""
    target, source, axis = crossings[:, 0].long(), crossings[:, 1].long(), crossings[:, 7].long() // 2
    second = crossings[:, 7] % 2 == 1
    crossed = []
    for pixel in (torch.where(second, target, source), torch.where(second, source, target)):
        flags = torch.zeros(2, count, dtype=torch.bool, device=crossings.device)
        flags[axis[pixel < count], pixel[pixel < count]] = True
        crossed.append(flags)
    return crossed[0], crossed[1]
