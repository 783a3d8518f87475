"""The *shared* form: PyTorch3D rasterises; edges and shading are the embedded engine's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.drawing import layer_parameters
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.embedded.topology import MeshTopology
from inverse_graphics.rendering.embedded.visibility import Clipping, Visibility
from inverse_graphics.rendering.embedded.visibility_torch import Projected, find_visibility
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.rendering.installation import load_pytorch3d
from inverse_graphics.rendering.pytorch3d.rasterisation import Frame, check_assets, rasterise
from inverse_graphics.rendering.pytorch3d.surfaces import ndc_from_pixels
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch

MARGIN = 1  # pixels outside the image on each side, which edges at its border need


@dataclass(frozen=True)
class PyTorch3DVisibility:
    """A `FindVisibility`: the embedded engine's, but that PyTorch3D rasterises at blur 0 with K = 1."""

    bin_size: int | None = None

    def __call__(
        self,
        library: MeshLibrary,
        topology: MeshTopology,
        parameters: Tensor,
        mesh: Tensor,
        clipping: Clipping,
    ) -> Visibility:
        """Find what is visible in each layer; see `FindVisibility`."""
        return find_visibility(library, topology, parameters, mesh, clipping, self._rasterise)

    def _rasterise(self, projected: Projected, clipping: Clipping) -> Tensor:
        """A `Rasterise`."""
        points, layers = projected.points, projected.layers
        ndc = ndc_from_pixels(points, clipping.height, clipping.width, MARGIN)
        selected = (projected.triangles.facing != 0).nonzero()[:, 0]
        frame = Frame(
            clipping.height + 2 * MARGIN,
            clipping.width + 2 * MARGIN,
            clipping.near,
            clipping.far,
            self.bin_size,
        )
        hits = rasterise(
            ndc,
            torch.bincount(projected.vertices.layer, minlength=layers),
            projected.corners[selected],
            torch.bincount(projected.faces.layer[selected], minlength=layers),
            frame,
        )
        face = hits.face.reshape(-1)
        if not len(selected):
            return face
        return torch.where(face >= 0, selected[face.clamp(min=0)], -1)


@dataclass(frozen=True)
class SharedSettings:
    """Settings of the shared form.

    Attributes:
        near: metres, the range of rendered depths.
        far: metres, the range of rendered depths.
        bin_size: PyTorch3D's bins on CUDA, in pixels; None for its default, 0 for none.
    """

    near: float = 0.01
    far: float = 1000.0
    bin_size: int | None = None


class SharedEngine:
    """PyTorch3D's `pix_to_face` at blur 0 and K = 1, each object alone, then the embedded second stage.

    The same image as the embedded engine's wherever both find the same face, and the same gradients: it is an
    independent check of the embedded visibility. PyTorch3D rasterises in float32, whatever the dtype.

    Raises:
        EngineError: PyTorch3D is not installed.
    """

    name = "pytorch3d"
    differentiable = True

    def __init__(self, library: MeshLibrary, settings: SharedSettings | None = None) -> None:
        load_pytorch3d()
        self.settings = settings or SharedSettings()
        self._drawing = EmbeddedEngine(library, EmbeddedSettings(self.settings.near, self.settings.far))
        self._topology = MeshTopology.from_library(library)
        self._find = PyTorch3DVisibility(self.settings.bin_size)

    @property
    def library(self) -> MeshLibrary:
        """The meshes that `ObjectBatch.asset` indexes."""
        return self._drawing.library

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone; differentiable in all but `asset`."""
        return self._drawing.draw(objects, camera, light, self.visibility(objects, camera))

    @torch.no_grad()
    def visibility(self, objects: ObjectBatch, camera: CameraBatch) -> Visibility:
        """Stage 1 alone: the visible fragments of the B · N layers, as integers."""
        check_assets(objects.asset, self.library)
        like = objects.position
        parameters = layer_parameters(objects, camera, _dark(like, len(like)))
        clipping = Clipping(camera.height, camera.width, self.settings.near, self.settings.far)
        library, topology = self.library.to(like.device, like.dtype), self._topology.to(like.device)
        return self._find(library, topology, parameters, objects.asset.reshape(-1), clipping)


def _dark(like: Tensor, scenes: int) -> LightBatch:
    nothing = like.new_zeros(scenes, 3)
    return LightBatch(nothing, nothing, nothing)
