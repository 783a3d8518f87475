# ruff: noqa: PLR0912 (compiled kernels are flat: a call with a structure costs more than arguments)
"""Compositing on the CPU: one compiled pass over the pixels forward, one backward.

`compositing` has the reference implementation in plain torch. Layers of a pixel are sorted by depth; with T_k
the transmittance in front of layer k, which has colour c_k (already times its alpha a_k),

  image = Σ_k T_k c_k + T_K backdrop,   T_0 = 1,   T_{k+1} = T_k (1 − a_k).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.rendering.kernels import in_chunks, inner, kernel


class Compose(torch.autograd.Function):
    """Images of the first `first` … N layers, the last one's alpha and depth, and its instance mask.

    Arguments: rgb (B, N, 3, H, W), depth, alpha (B, N, H, W); the backdrop's rgb (B, 3, H, W), coverage and
    depth (B, H, W); first.  Returns (B, N + 1 − first, 3, H, W), or (B, 3, H, W) if first = N, then
    (B, H, W), (B, H, W), (B, H, W) int64.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One pass over all pixels."""
        *tensors, first = arguments
        tensors = [tensor.detach().contiguous() for tensor in tensors]
        rgb = tensors[0]
        scenes, layers, _, height, width = rgb.shape
        images = rgb.new_empty(scenes, layers + 1 - first, 3, height, width)
        alpha, depth = rgb.new_empty(2, scenes, height, width)
        mask = torch.empty(scenes, height, width, dtype=torch.int64)
        ins = [_planes(tensor, height * width) for tensor in tensors]
        outs = [_planes(tensor, height * width) for tensor in (images, alpha, depth, mask)]
        in_chunks(lambda start, stop: _forward(start, stop, first, *ins, *outs), scenes)
        ctx.save_for_backward(*tensors, mask)
        ctx.first = first
        ctx.mark_non_differentiable(mask)
        return images[:, 0] if first == layers else images, alpha, depth, mask

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """One pass over all pixels, from the farthest layer to the nearest."""
        *tensors, mask = ctx.saved_tensors
        size = mask.shape[1] * mask.shape[2]
        rgb, depth, alpha, behind, _, _ = tensors
        ins = [_planes(tensor, size) for tensor in (rgb, depth, alpha, behind, mask)]
        from_images, *others = (gradient.contiguous() for gradient in gradients[:3])
        if from_images.dim() == 4:
            from_images = from_images[:, None]
        given = [_planes(gradient, size) for gradient in (from_images, *others)]
        results = [torch.empty_like(tensor) for tensor in tensors]
        outs = [_planes(tensor, size) for tensor in results]
        scenes = len(mask)
        in_chunks(lambda start, stop: _backward(start, stop, ctx.first, *ins, *given, *outs), scenes)
        return (*results, None)


def _planes(tensor: Tensor, size: int) -> NDArray[Any]:
    """The tensor's memory with height and width as one axis."""
    return tensor.detach().view(*tensor.shape[:-2], size).numpy()


@inner
def _sort(order: NDArray[np.int64], depth: NDArray[Any], scene: int, pixel: int) -> None:
    """Order the layers of a pixel from near to far, stably."""
    for n in range(len(order)):
        far = depth[scene, n, pixel]
        k = n
        while k > 0 and depth[scene, order[k - 1], pixel] > far:
            order[k] = order[k - 1]
            k -= 1
        order[k] = n


@kernel
def _forward(
    start: int,
    stop: int,
    first: int,
    rgb: NDArray[Any],
    depth: NDArray[Any],
    alpha: NDArray[Any],
    behind: NDArray[Any],
    coverage: NDArray[Any],
    table_depth: NDArray[Any],
    images: NDArray[Any],
    total: NDArray[Any],
    seen_depth: NDArray[Any],
    mask: NDArray[np.int64],
) -> None:
    """Scenes start … stop − 1."""
    layers = alpha.shape[1]
    order = np.empty(layers, np.int64)
    for b in range(start, stop):
        for p in range(alpha.shape[2]):
            empty = True
            for n in range(layers):
                empty = empty and alpha[b, n, p] == 0
            if empty:
                for i in range(layers + 1 - first):
                    for c in range(3):
                        images[b, i, c, p] = behind[b, c, p]
                total[b, p] = 0
                table = coverage[b, p] > 0.5
                mask[b, p] = -1 if table else -2
                seen_depth[b, p] = table_depth[b, p] if table else np.inf
                continue
            _sort(order, depth, b, p)
            through = 1.0
            for i in range(layers + 1 - first):
                count = i + first
                through = 1.0
                red, green, blue = 0.0, 0.0, 0.0
                for k in range(layers):
                    n = order[k]
                    if n < count:
                        red += through * rgb[b, n, 0, p]
                        green += through * rgb[b, n, 1, p]
                        blue += through * rgb[b, n, 2, p]
                        through *= 1 - alpha[b, n, p]
                images[b, i, 0, p] = red + through * behind[b, 0, p]
                images[b, i, 1, p] = green + through * behind[b, 1, p]
                images[b, i, 2, p] = blue + through * behind[b, 2, p]
            total[b, p] = 1 - through
            best, most = -2, through * (1 - coverage[b, p])
            if through * coverage[b, p] > most:
                best, most = -1, through * coverage[b, p]
            through = 1.0
            for k in range(layers):
                n = order[k]
                share = through * alpha[b, n, p]
                if share > most or (share == most and 0 <= n < best):
                    best, most = n, share
                through *= 1 - alpha[b, n, p]
            mask[b, p] = best
            if best >= 0:
                seen_depth[b, p] = depth[b, best, p]
            else:
                seen_depth[b, p] = table_depth[b, p] if best == -1 else np.inf


@inner
def _backward_where_empty(
    first: int,
    behind: NDArray[Any],
    from_images: NDArray[Any],
    from_total: NDArray[Any],
    to_rgb: NDArray[Any],
    to_alpha: NDArray[Any],
    to_behind: NDArray[Any],
) -> None:
    """The backward pass of one scene as if no pixel were covered: plane by plane, which is much faster."""
    layers, pixels = to_alpha.shape
    for n in range(layers):
        for p in range(pixels):
            to_alpha[n, p] = from_total[p]
    for c in range(3):
        for i in range(len(from_images)):
            for p in range(pixels):
                to_behind[c, p] = from_images[i, c, p] + (to_behind[c, p] if i > 0 else 0)
        for n in range(layers):
            begin = max(n + 1 - first, 0)
            for i in range(begin, len(from_images)):
                for p in range(pixels):
                    to_rgb[n, c, p] = from_images[i, c, p] + (to_rgb[n, c, p] if i > begin else 0)
                    to_alpha[n, p] -= from_images[i, c, p] * behind[c, p]


@kernel
def _backward(
    start: int,
    stop: int,
    first: int,
    rgb: NDArray[Any],
    depth: NDArray[Any],
    alpha: NDArray[Any],
    behind: NDArray[Any],
    mask: NDArray[np.int64],
    from_images: NDArray[Any],
    from_total: NDArray[Any],
    from_depth: NDArray[Any],
    to_rgb: NDArray[Any],
    to_depth: NDArray[Any],
    to_alpha: NDArray[Any],
    to_behind: NDArray[Any],
    to_coverage: NDArray[Any],
    to_table_depth: NDArray[Any],
) -> None:
    """Scenes start … stop − 1."""
    layers = alpha.shape[1]
    order = np.empty(layers, np.int64)
    through = np.empty(layers + 1)
    for b in range(start, stop):
        _backward_where_empty(
            first, behind[b], from_images[b], from_total[b], to_rgb[b], to_alpha[b], to_behind[b]
        )
        for p in range(alpha.shape[2]):
            for n in range(layers):
                to_depth[b, n, p] = 0
            to_coverage[b, p] = 0
            to_table_depth[b, p] = from_depth[b, p] if mask[b, p] == -1 else 0
            empty = True
            for n in range(layers):
                empty = empty and alpha[b, n, p] == 0
            if empty:
                continue
            _sort(order, depth, b, p)
            for n in range(layers):
                to_depth[b, n, p] = from_depth[b, p] if mask[b, p] == n else 0
                to_alpha[b, n, p] = 0
                for c in range(3):
                    to_rgb[b, n, c, p] = 0
            for c in range(3):
                to_behind[b, c, p] = 0
            for i in range(layers + 1 - first):
                count = i + first
                through[0] = 1.0
                for k in range(layers):
                    clear = 1 - alpha[b, order[k], p] if order[k] < count else 1.0
                    through[k + 1] = through[k] * clear
                red, green, blue = from_images[b, i, 0, p], from_images[b, i, 1, p], from_images[b, i, 2, p]
                to_behind[b, 0, p] += through[layers] * red
                to_behind[b, 1, p] += through[layers] * green
                to_behind[b, 2, p] += through[layers] * blue
                slope = red * behind[b, 0, p] + green * behind[b, 1, p] + blue * behind[b, 2, p]
                if count == layers:
                    slope -= from_total[b, p]
                for k in range(layers - 1, -1, -1):
                    n = order[k]
                    if n < count:
                        to_rgb[b, n, 0, p] += through[k] * red
                        to_rgb[b, n, 1, p] += through[k] * green
                        to_rgb[b, n, 2, p] += through[k] * blue
                        to_alpha[b, n, p] -= slope * through[k]
                        slope = slope * (1 - alpha[b, n, p]) + (
                            red * rgb[b, n, 0, p] + green * rgb[b, n, 1, p] + blue * rgb[b, n, 2, p]
                        )
