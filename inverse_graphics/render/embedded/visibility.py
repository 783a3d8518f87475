"""What stage 1 finds and stage 2 draws: which face covers a pixel, and which edges lie between pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.embedded.topology import MeshTopology

LARGEST = 1e8  # pixels·metres: vertices farther out are not drawn, so that float32 products stay finite
HIDDEN_BY = 1e-6  # a surface hides an edge if it is nearer by more than this share of the edge's depth
ROUNDING = 1e-6  # pixels by which bounding boxes are enlarged; the exact tests follow
SHORTEST = 1e-6  # pixels: edges that are shorter along their main direction cross nothing

OUTER, INNER, HIDDEN = 0, 1, 2  # a point of an edge: nothing behind it, a surface behind it, one before it


@dataclass(frozen=True)
class Visibility:
    """Integers only, without gradient; all int32, of layers that are H × W pixels.

    fragments: (n + m, 4): layer, column x, row y, face; the first `covered` = n have a face, the m others
    have −1: they are pixels that nothing covers at their centre but an edge beside them may reach.
    One pixel outside the image on each side is kept where an edge needs it (x = −1 or W, y = −1 or H).
    crossings: (k, 8): fragment that is blended into, fragment it takes from, layer, two vertices of the
    edge, x and y of the left or upper pixel of the two, and 2·vertical + second, where vertical says that
    the pixels lie one above the other and second that the blended fragment is the right or lower one.
    Sorted: fragments by layer and pixel within their n and m, crossings by layer, vertical and pixel.
    """

    fragments: Tensor
    covered: int
    crossings: Tensor


class Clipping(NamedTuple):
    """Image size in pixels, and the depths in metres between which surfaces are drawn."""

    height: int
    width: int
    near: float
    far: float


class FindVisibility(Protocol):
    """Stage 1.  parameters: (L, ≥ 12) as `layer_parameters` makes them; mesh: (L,), −1 draws nothing."""

    def __call__(
        self,
        library: MeshLibrary,
        topology: MeshTopology,
        parameters: Tensor,
        mesh: Tensor,
        clipping: Clipping,
    ) -> Visibility:
        """Find what is visible in each layer."""
