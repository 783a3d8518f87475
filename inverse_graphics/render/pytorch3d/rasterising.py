"""PyTorch3D's rasteriser over many different meshes at once, one picture each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.render.pytorch3d.installation import load_pytorch3d

# At blur 0 PyTorch3D gives a pixel centre that lies on the edge of two faces to neither of them. Moving all
# vertices by some float32 roundings decides every such tie alike, as if the picture were shifted.
NUDGE = (1.0e-6, 0.6e-6)


@dataclass(frozen=True)
class Frame:
    """A picture as it is rasterised.

    height, width: pixels.  near, far: metres.  bin_size: PyTorch3D's, for CUDA; None lets it choose.
    """

    height: int
    width: int
    near: float
    far: float
    bin_size: int | None = None


@dataclass(frozen=True)
class Hits:
    """The faces that were found in P pictures, up to K in a pixel, nearest in depth first.

    face: (P, H, W, K) int64, row among the faces that were given, −1 where there is none.
    depth: (P, H, W, K), metres.  weight: (P, H, W, K, 3), perspective-correct barycentric coordinates.
    squared_distance: (P, H, W, K), in *squared* normalised device coordinates, to the face's border,
    negative inside.  All but `face` are differentiable, and mean nothing where there is no face.
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

    ndc: (V, 3), the vertices of P meshes end to end, as `ndc_from_pixels` gives them.  faces: (F, 3) into
    them, likewise end to end.  vertex_counts, face_counts: (P,).
    reach: how far outside a face a pixel may lie and still hit it, in normalised device coordinates (it is
    PyTorch3D that wants it squared). With reach > 0 it still keeps faces by *depth*: the nearest border is
    among them only if `most` is as large as the number of faces within reach.
    PyTorch3D works in float32 alone; faces are clipped at `near`, and what lies beyond `far` is dropped.
    """
    pictures = len(vertex_counts)
    if not len(faces):
        return _nothing(pictures, frame, most, ndc)
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


def _nothing(pictures: int, frame: Frame, most: int, like: Tensor) -> Hits:
    shape = (pictures, frame.height, frame.width, most)
    zeros = torch.zeros(shape, device=like.device)
    none = torch.full(shape, -1, device=like.device)
    return Hits(none, zeros, zeros[..., None].expand(*shape, 3), zeros)
