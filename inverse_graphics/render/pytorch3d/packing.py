"""The meshes of all layers that show something, laid end to end as PyTorch3D wants them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary

LARGEST = 1e8  # pixels·metres: vertices farther out are not drawn, so that float32 products stay finite


@dataclass(frozen=True)
class Table:
    """Rows of one of a library's tables (vertices, faces or edges), repeated for each of P layers.

    layer: (n,), which of the P.  row: (n,), in the library.  count: (P,).  shift: (P,), what to add to a
    library row to find it among those n.
    """

    layer: Tensor
    row: Tensor
    count: Tensor
    shift: Tensor

    @classmethod
    def of(cls, first: Tensor, mesh: Tensor) -> Table:
        """Rows first[m] : first[m + 1] for each mesh m of `mesh`, (P,)."""
        start, count = first[mesh], first[mesh + 1] - first[mesh]
        shift = count.cumsum(0) - count - start
        layer = torch.repeat_interleave(count)
        return cls(layer, torch.arange(len(layer), device=layer.device) - shift[layer], count, shift)


def check_assets(asset: Tensor, library: MeshLibrary) -> None:
    """Refuse indices that no mesh has.

    Raises:
        EngineError: an index of `asset` is neither −1 nor a mesh of the library.
    """
    known = len(library.names)
    if asset.numel() and not -1 <= int(asset.min()) <= int(asset.max()) < known:
        raise EngineError(
            f"asset index {int(asset.max())} is not in the library of {known} meshes: "
            "use −1 for an empty slot, else an index into `library.names`"
        )


def project_layers(parameters: Tensor, vertices: Tensor, table: Table) -> tuple[Tensor, Tensor]:
    """Homogeneous pixel coordinates of all vertices, (n, 3), and which of them are within bounds, (n,).

    parameters: (P, ≥ 12) as `layer_parameters` makes them.  vertices: (V, 3), the library's.
    Differentiable in the parameters; zeros where a vertex is out of bounds.
    """
    rows = parameters[:, :12].reshape(-1, 3, 4)[table.layer]
    homogeneous = (rows[..., :3] * vertices[table.row][:, None]).sum(dim=-1) + rows[..., 3]
    sound = (homogeneous.detach().abs() <= LARGEST).all(dim=1)
    return torch.where(sound[:, None], homogeneous, 0.0), sound


def facings(homogeneous: Tensor, corners: Tensor) -> Tensor:
    """−1 where the camera sees the front of a face, 1 where its back, 0 where neither, (F,).

    homogeneous: (n, 3).  corners: (F, 3) into it.
    """
    i, j, k = homogeneous.detach().double()[corners].unbind(dim=1)
    return (i * torch.linalg.cross(j, k)).sum(dim=1).sign().to(homogeneous.dtype)
