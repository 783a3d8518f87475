"""PyTorch3D's rasteriser for many different meshes at once, one image each.

The meshes of all layers that are not empty are concatenated, as PyTorch3D requires.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.installation import load_pytorch3d

# At blur 0 PyTorch3D gives a pixel centre that lies on the edge of two faces to neither of them. Moving all
# vertices by some float32 roundings resolves every such tie in the same way, as if the image were shifted.
NUDGE = (1.0e-6, 0.6e-6)


@dataclass(frozen=True)
class Frame:
    """The image of a rasterisation.

    Attributes:
        height: pixels.
        width: pixels.
        near: metres.
        far: metres.
        bin_size: PyTorch3D's, for CUDA; None for its default.
    """

    height: int
    width: int
    near: float
    far: float
    bin_size: int | None = None


@dataclass(frozen=True)
class Hits:
    """The faces found in P images, up to K per pixel, nearest in depth first.

    Attributes:
        face: (P, H, W, K) int64, row among the given faces, −1 where there is none.
        depth: (P, H, W, K), metres.
        weight: (P, H, W, K, 3), perspective-correct barycentric coordinates.
        squared_distance: (P, H, W, K), in *squared* normalised device coordinates, to the face's border,
            negative inside.  All but `face` are differentiable, and undefined where there is no face.
    """

    face: Tensor
    depth: Tensor
    weight: Tensor
    squared_distance: Tensor


def rasterise(
    ndc: Tensor,
    vertex_counts: Tensor,
    faces: Tensor,
    face_counts: Tensor,
    frame: Frame,
    most: int = 1,
    reach: float = 0.0,
) -> Hits:
    """Find the `most` nearest faces in every pixel.

    PyTorch3D works in float32 only; faces are clipped at `near`, and those beyond `far` are dropped.

    Args:
        ndc: (V, 3), the vertices of P concatenated meshes, from `ndc_from_pixels`.
        faces: (F, 3), indices of the concatenated vertices, concatenated in the same order.
        vertex_counts: (P,).
        face_counts: (P,).
        reach: largest distance of a pixel outside a face that still hits it, in normalised device coordinates
            (PyTorch3D takes its square). With reach > 0 faces are still stored by *depth*: the nearest border
            is among them only if `most` is at least the number of faces within reach.
    """
    images = len(vertex_counts)
    if not len(faces):
        return _nothing(images, frame, most, ndc)
    pytorch3d = load_pytorch3d()
    first = torch.repeat_interleave(vertex_counts.cumsum(0) - vertex_counts, face_counts)
    nudged = ndc.float() + ndc.new_tensor([*NUDGE, 0.0], dtype=torch.float32)
    meshes = pytorch3d.Meshes(
        verts=list(torch.split(nudged, vertex_counts.tolist())),
        faces=list(torch.split(faces - first[:, None], face_counts.tolist())),
    )
    face, depth, weight, squared = pytorch3d.rasterize_meshes(
        meshes,
        image_size=(frame.height, frame.width),
        blur_radius=reach**2,
        faces_per_pixel=most,
        bin_size=frame.bin_size,
        perspective_correct=True,
        clip_barycentric_coords=reach > 0,
        z_clip_value=frame.near,
    )
    face = torch.where(depth.detach() <= frame.far, face, -1)
    return Hits(face, depth, weight, squared)


def _nothing(images: int, frame: Frame, most: int, like: Tensor) -> Hits:
    shape = (images, frame.height, frame.width, most)
    zeros = torch.zeros(shape, device=like.device)
    none = torch.full(shape, -1, device=like.device)
    return Hits(none, zeros, zeros[..., None].expand(*shape, 3), zeros)


LARGEST = 1e8  # pixels·metres: vertices farther out are not rendered, so that float32 products stay finite


@dataclass(frozen=True)
class Table:
    """Rows of one of a library's tables (vertices, faces or edges), repeated for each of P layers.

    Attributes:
        layer: (n,), which of the P.
        row: (n,), in the library.
        count: (P,).
        shift: (P,), offset from a library row to its index among those n.
    """

    layer: Tensor
    row: Tensor
    count: Tensor
    shift: Tensor

    @classmethod
    def from_rows(cls, first: Tensor, mesh: Tensor) -> Table:
        """Rows first[m] : first[m + 1] for each mesh m of `mesh`, (P,)."""
        start, count = first[mesh], first[mesh + 1] - first[mesh]
        shift = count.cumsum(0) - count - start
        layer = torch.repeat_interleave(count)
        return cls(layer, torch.arange(len(layer), device=layer.device) - shift[layer], count, shift)


def check_assets(asset: Tensor, library: MeshLibrary) -> None:
    """Check the indices of meshes.

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

    Args:
        parameters: (P, ≥ 12) as `layer_parameters` makes them.
        vertices: (V, 3), the library's. Differentiable in the parameters; zeros where a vertex is out of
            bounds.
    """
    rows = parameters[:, :12].reshape(-1, 3, 4)[table.layer]
    homogeneous = (rows[..., :3] * vertices[table.row][:, None]).sum(dim=-1) + rows[..., 3]
    sound = (homogeneous.detach().abs() <= LARGEST).all(dim=1)
    return torch.where(sound[:, None], homogeneous, 0.0), sound


def facings(homogeneous: Tensor, corners: Tensor) -> Tensor:
    """−1 where the camera sees the front of a face, 1 where its back, 0 where neither, (F,).

    Args:
        homogeneous: (n, 3).
        corners: (F, 3) into it.
    """
    i, j, k = homogeneous.detach().double()[corners].unbind(dim=1)
    return (i * torch.linalg.cross(j, k)).sum(dim=1).sign().to(homogeneous.dtype)
