"""The soft edges of the native form: both sides of an edge mixed by how far it passes from the pixel."""

from __future__ import annotations

from torch import Tensor

from inverse_graphics.render.pytorch3d.outline import Beside, Inside


def blend(
    seen: Tensor, surface: Tensor, beside: Beside, inside: tuple[Inside, Inside], blur_px: float
) -> Tensor:
    """Soften the edges of what is seen.

    seen: (P · H · W, n), values at pixel centres, zeros where nothing is.  surface: those of the surfaces
    that end just before the pixels of `beside`.  inside: as `pixels_inside` gives it.
    Returns (P · H · W, n).
    A surface covers ½ + distance / (2 blur) of a pixel, from 0 to 1; what is left shows what comes after its
    end: the nearest pixel beyond for the one within, what it shows itself for the one beside.
    """
    inner, outer = inside
    share = _share(inner.distance.reshape(-1), blur_px)[:, None]
    within = share * seen + (1 - share) * seen[inner.beyond.reshape(-1)]
    covered = _share(-beside.distance, blur_px)[:, None]
    mixed = covered * surface + (1 - covered) * within[beside.pixel]
    # the outline last: it bounds whatever surfaces meet in a pixel, and so alpha is its alone
    return _share(outer.distance.reshape(-1), blur_px)[:, None] * within.index_copy(0, beside.pixel, mixed)


def _share(distance: Tensor, blur_px: float) -> Tensor:
    return (0.5 + distance / (2 * blur_px)).clamp(0, 1)
