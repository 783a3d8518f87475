"""Whole scenes on the CPU, from parameters to image and back, without storing layers.

Objects cover a small part of an image, so layers are stored as fragments: the backdrop is painted, and the
fragments are sorted and composited over it in place. Scenes pass all stages a few at a time, so that the
output of one stage is still in the processor's cache for the next one.

`compositing.compose` of `layers` is the reference implementation: the images are equal bit by bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.rendering import backdrop_numba
from inverse_graphics.rendering.backdrop import Plan
from inverse_graphics.rendering.compositing import Composite
from inverse_graphics.rendering.embedded.drawing_numba import (
    Floats,
    Seen,
    Tables,
    Work,
    as_rows,
    shade,
    shade_backward,
)
from inverse_graphics.rendering.embedded.shading import Slopes
from inverse_graphics.rendering.embedded.visibility import Clipping
from inverse_graphics.rendering.embedded.visibility_numba import Geometry, find_in
from inverse_graphics.rendering.kernels import in_chunks, inner, kernel

BATCH_SIZE = 1 << 15  # pixels whose fragments, with their data, fit in a processor's cache

Integers = NDArray[np.int64]
Rows = NDArray[np.int32]


class Model(NamedTuple):
    """A library as the kernels of both stages use it."""

    geometry: Geometry
    tables: Tables


def render_scenes(
    parameters: Tensor, plan: Plan, mesh: Tensor, model: Model, clipping: Clipping, slopes: Slopes
) -> Composite:
    """Render B scenes of N objects each.

    Args:
        parameters: (B·N, 21), see `layer_parameters`.
        mesh: (B, N), −1 for an empty slot.
    """
    keep = torch.is_grad_enabled() and any(part.requires_grad for part in (parameters, *plan))
    arguments = (parameters, *plan, mesh, model, clipping, slopes, keep)
    image, alpha, depth, mask = RenderScenes.apply(*arguments)  # type: ignore[no-untyped-call]
    return Composite(image, alpha, depth, mask)


class RenderScenes(torch.autograd.Function):
    """`render_scenes`, with its backward pass to the parameters and the plan."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Render image (B, 3, H, W), alpha, depth and mask (B, H, W)."""
        parameters, *tensors, mesh, model, clipping, slopes, keep = arguments
        plan = [tensor.detach().contiguous() for tensor in tensors]
        size = (len(mesh), clipping.height, clipping.width)
        image = parameters.new_empty(size[0], 3, *size[1:])
        alpha, depth = parameters.new_empty(size), parameters.new_empty(size)
        mask = torch.empty(size, dtype=torch.int64)
        scenes = _Scenes(
            as_rows(parameters).reshape(*mesh.shape, parameters.shape[1]),
            mesh.contiguous().numpy(),
            [tensor.numpy() for tensor in plan],
            [output.numpy() for output in (image, alpha, depth, mask)],
            parameters.dtype,
        )

        def draw(start: int, stop: int) -> _Piece | None:
            piece = scenes.draw(start, stop, model, clipping)
            return piece if keep else None

        most = max(1, BATCH_SIZE // (size[1] * size[2]))
        ctx.saved = (scenes, in_chunks(draw, size[0], most=most), model, slopes)
        ctx.mark_non_differentiable(mask)
        return image, alpha, depth, mask

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Sum the gradients of all pixels in the parameters of each object, and in the plan of each scene."""
        scenes, pieces, model, slopes = ctx.saved
        given = [gradient.contiguous().numpy() for gradient in gradients[:3]]
        by_rows = np.zeros_like(scenes.rows)
        by_plan = [np.zeros_like(array) for array in scenes.plan[:4]]
        to_plan = any(ctx.needs_input_grad[1:5])

        def back(start: int, stop: int) -> None:
            for piece in pieces[start:stop]:
                part = slice(piece.start, piece.stop)
                by_rendered = scenes.draw_backward(
                    piece, given, [array[part] for array in by_plan] if to_plan else []
                )
                by_rows[part] = shade_backward(
                    scenes.layers(part), piece.seen, model.tables, piece.work, by_rendered, slopes
                ).reshape(by_rows[part].shape)

        in_chunks(back, len(pieces))
        parameters = torch.from_numpy(by_rows).flatten(0, 1).to(scenes.dtype)
        plan = [torch.from_numpy(array) if to_plan else None for array in by_plan]
        return parameters, *plan, None, None, None, None, None, None


class _Piece(NamedTuple):
    """The data of scenes start … stop − 1 for the backward pass; their layers are numbered from 0 here.

    Attributes:
        behind: (n, 3), colour of the backdrop at the first fragment of each pixel.
    """

    start: int
    stop: int
    seen: Seen
    work: Work
    behind: NDArray[Any]


class _Scenes(NamedTuple):
    """Arguments and results of B scenes: rows (B, N, 21), mesh (B, N), a `Plan`, a `Composite`."""

    rows: Floats
    mesh: Integers
    plan: list[NDArray[Any]]
    outputs: list[NDArray[Any]]
    dtype: torch.dtype

    def layers(self, part: slice) -> Floats:
        """The rows of the objects of some scenes, concatenated."""
        rows = self.rows[part]
        return rows.reshape(rows.shape[0] * rows.shape[1], rows.shape[2])

    def draw(self, start: int, stop: int, model: Model, clipping: Clipping) -> _Piece:
        """Run scenes start … stop − 1 through all stages."""
        part = slice(start, stop)
        rows = self.layers(part)
        seen = Seen.from_visibility(
            find_in(model.geometry, rows, self.mesh[part].reshape(-1), clipping), len(rows)
        )
        work = shade(rows, seen, model.tables, self.dtype)
        image, alpha, depth, mask = (output[part] for output in self.outputs)
        coverage = np.empty_like(alpha)
        backdrop_numba.paint([array[part] for array in self.plan], image, coverage, depth)
        behind = lay_over(self.mesh.shape[1], seen, work.rendered, image, coverage, alpha, depth, mask)
        return _Piece(start, stop, seen, work, behind)

    def draw_backward(self, piece: _Piece, given: list[NDArray[Any]], by_plan: list[NDArray[Any]]) -> Floats:
        """Compute gradients of the fragments; write those of the plan to `by_plan`, unless it is empty."""
        part = slice(piece.start, piece.stop)
        from_image, from_alpha, from_depth = (array[part] for array in given)
        scenes = len(from_image) if by_plan else 0
        from_behind, from_table = np.empty_like(from_image[:scenes]), np.empty_like(from_depth[:scenes])
        pixels = (self.outputs[3][part], from_image, from_alpha, from_depth, from_behind, from_table)
        by_rendered = np.zeros_like(piece.work.mixed)
        _lay_backward(
            *(self.mesh.shape[1], from_depth.shape[2], *piece.seen.parts, piece.work.rendered, piece.behind),
            *(_flat(array) for array in pixels),
            by_rendered,
        )
        if by_plan:
            plan = [array[part] for array in self.plan]
            backdrop_numba.paint_backward(plan, from_behind, np.zeros_like(from_table), from_table, by_plan)
        return by_rendered


def lay_over(layers: int, seen: Seen, rendered: NDArray[Any], *pixels: NDArray[Any]) -> NDArray[Any]:
    """Composite the fragments of scenes of `layers` objects over the backdrop, in place.

    Args:
        pixels: image (B, 3, H, W), coverage, alpha, depth, mask (B, H, W); image, coverage and depth contain
            the backdrop on entry.

    Returns:
        The backdrop's colour (n, 3) at the first fragment of each pixel.
    """
    behind = np.empty((len(rendered), 3), rendered.dtype)
    _lay(layers, pixels[0].shape[-1], *seen.parts, rendered, behind, *(_flat(array) for array in pixels))
    return behind


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory with height and width as one axis."""
    return array.reshape(*array.shape[:-2], array.shape[-2] * array.shape[-1])


@inner
def _link(
    layers: int,
    scene: int,
    width: int,
    pixels: int,
    fragments: Rows,
    covered_from: Integers,
    bare_from: Integers,
    heads: Rows,
    links: Rows,
    touched: Rows,
) -> int:
    """Chain the fragments of each pixel by slot; returns how many pixels have any, listed in `touched`.

    Args:
        heads: (H·W,), −1 before; the first fragment of each pixel after.
        links: (n,), the next one, or −1.
    """
    count: Any = np.int64(0)
    for slot in range(layers - 1, -1, -1):
        layer = scene * layers + slot
        for part in range(2):
            begin = covered_from if part == 0 else bare_from
            for i in range(begin[layer], begin[layer + 1]):
                x, y = fragments[i, 1], fragments[i, 2]
                p = y * width + x
                if 0 <= x < width and y >= 0 and p < pixels:
                    links[i] = heads[p]
                    if heads[p] < 0:
                        touched[count] = p
                        count += 1
                    heads[p] = i
    return count


@inner
def _sort(first: int, links: Rows, rendered: NDArray[Any], order: Rows) -> int:
    """Order a pixel's fragments from near to far, equal ones by slot; returns their number."""
    count: Any = np.int64(0)
    i = first
    while i >= 0:
        k = count
        while k > 0 and rendered[order[k - 1], 3] > rendered[i, 3]:
            order[k] = order[k - 1]
            k -= 1
        order[k] = i
        count += 1
        i = links[i]
    return count


@kernel
def _lay(
    layers: int,
    width: int,
    fragments: Rows,
    covered_from: Integers,
    bare_from: Integers,
    rendered: NDArray[Any],
    behind: NDArray[Any],
    image: NDArray[Any],
    coverage: NDArray[Any],
    total: NDArray[Any],
    depth: NDArray[Any],
    mask: Integers,
) -> None:
    """Composite the fragments over the backdrop, which image, coverage and depth contain on entry."""
    pixels = mask.shape[1]
    order = np.empty(layers, np.int32)
    heads = np.full(pixels, -1, np.int32)
    links, touched = np.empty(len(fragments), np.int32), np.empty(min(len(fragments), pixels), np.int32)
    for b in range(len(mask)):
        for p in range(pixels):
            total[b, p] = 0
            mask[b, p] = -1 if coverage[b, p] > 0.5 else -2
        count = _link(layers, b, width, pixels, fragments, covered_from, bare_from, heads, links, touched)
        for t in range(count):
            p = touched[t]
            first = heads[p]
            heads[p] = -1
            depths = _sort(first, links, rendered, order)
            through = 1.0
            red, green, blue = 0.0, 0.0, 0.0
            share = coverage[b, p]
            best, most, at = -2, 0.0, np.inf
            for k in range(depths):
                i = order[k]
                seen = through * rendered[i, 4]
                slot = fragments[i, 0] - b * layers
                if seen > most or (seen == most and 0 <= slot < best):
                    best, most, at = slot, seen, rendered[i, 3]
                red += through * rendered[i, 0]
                green += through * rendered[i, 1]
                blue += through * rendered[i, 2]
                through *= 1 - rendered[i, 4]
            if through * (1 - share) >= most or through * share >= most:
                best = -1 if through * share > through * (1 - share) else -2
            for c in range(3):
                behind[first, c] = image[b, c, p]
            image[b, 0, p] = red + through * behind[first, 0]
            image[b, 1, p] = green + through * behind[first, 1]
            image[b, 2, p] = blue + through * behind[first, 2]
            total[b, p] = 1 - through
            mask[b, p] = best
            if best >= 0:
                depth[b, p] = at
        for p in range(pixels):
            if mask[b, p] == -2:
                depth[b, p] = np.inf


@kernel
def _lay_backward(
    layers: int,
    width: int,
    fragments: Rows,
    covered_from: Integers,
    bare_from: Integers,
    rendered: NDArray[Any],
    behind: NDArray[Any],
    mask: Integers,
    from_image: NDArray[Any],
    from_total: NDArray[Any],
    from_depth: NDArray[Any],
    from_behind: NDArray[Any],
    from_table: NDArray[Any],
    by_rendered: Floats,
) -> None:
    """The backward pass of `_lay`, to the fragments, and to the backdrop if from_behind has any scenes."""
    pixels = mask.shape[1]
    order, through = np.empty(layers, np.int32), np.empty(layers + 1)
    heads = np.full(pixels, -1, np.int32)
    links, touched = np.empty(len(fragments), np.int32), np.empty(min(len(fragments), pixels), np.int32)
    backdrop = len(from_behind) > 0
    for b in range(len(mask)):
        if backdrop:
            for c in range(3):
                for p in range(pixels):
                    from_behind[b, c, p] = from_image[b, c, p]
            for p in range(pixels):
                from_table[b, p] = from_depth[b, p] if mask[b, p] == -1 else 0
        count = _link(layers, b, width, pixels, fragments, covered_from, bare_from, heads, links, touched)
        for t in range(count):
            p = touched[t]
            first = heads[p]
            heads[p] = -1
            depths = _sort(first, links, rendered, order)
            through[0] = 1.0
            for k in range(depths):
                through[k + 1] = through[k] * (1 - rendered[order[k], 4])
            red, green, blue = from_image[b, 0, p], from_image[b, 1, p], from_image[b, 2, p]
            slope = red * behind[first, 0] + green * behind[first, 1] + blue * behind[first, 2]
            slope -= from_total[b, p]
            for k in range(depths - 1, -1, -1):
                i = order[k]
                by_rendered[i, 0] = through[k] * red
                by_rendered[i, 1] = through[k] * green
                by_rendered[i, 2] = through[k] * blue
                if fragments[i, 0] - b * layers == mask[b, p]:
                    by_rendered[i, 3] = from_depth[b, p]
                by_rendered[i, 4] = -slope * through[k]
                slope *= 1 - rendered[i, 4]
                slope += red * rendered[i, 0] + green * rendered[i, 1] + blue * rendered[i, 2]
            if backdrop:
                for c in range(3):
                    from_behind[b, c, p] *= through[depths]
