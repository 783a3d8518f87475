"""The *shared* form: PyTorch3D decides which face is seen where, the embedded engine draws it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.render.embedded.layer_parameters import layer_parameters
from inverse_graphics.render.embedded.topology import MeshTopology
from inverse_graphics.render.embedded.visibility import Clipping, Visibility
from inverse_graphics.render.engine import Layers
from inverse_graphics.render.pytorch3d.installation import load_pytorch3d
from inverse_graphics.render.pytorch3d.packing import check_assets
from inverse_graphics.render.pytorch3d.shared_visibility import PyTorch3DVisibility
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch


@dataclass(frozen=True)
class SharedSettings:
    """near, far: metres, the depths between which surfaces are drawn.

    bin_size: PyTorch3D's bins on CUDA, in pixels; None lets it choose, 0 does without.
    """

    near: float = 0.01
    far: float = 1000.0
    bin_size: int | None = None


class SharedEngine:
    """PyTorch3D's `pix_to_face` at blur 0 and K = 1, each object alone, then the embedded second stage.

    The same picture as the embedded engine's wherever both see the same face, and the same gradients: it is
    the independent witness of the embedded visibility. PyTorch3D rasterises in float32, whatever the dtype.

    Raises:
        EngineError: PyTorch3D is not installed.
    """

    name = "pytorch3d"
    differentiable = True

    def __init__(self, library: MeshLibrary, settings: SharedSettings | None = None) -> None:
        load_pytorch3d()
        self.settings = settings or SharedSettings()
        self._drawing = EmbeddedEngine(library, EmbeddedSettings(self.settings.near, self.settings.far))
        self._topology = MeshTopology.of(library)
        self._find = PyTorch3DVisibility(self.settings.bin_size)

    @property
    def library(self) -> MeshLibrary:
        """The meshes that `ObjectBatch.asset` counts through."""
        return self._drawing.library

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Draw every object of every scene alone; differentiable in all but `asset`."""
        return self._drawing.draw(objects, camera, light, self.visibility(objects, camera))

    @torch.no_grad()
    def visibility(self, objects: ObjectBatch, camera: CameraBatch) -> Visibility:
        """Stage 1 alone: what is visible in the B · N layers, as integers."""
        check_assets(objects.asset, self.library)
        like = objects.position
        parameters = layer_parameters(objects, camera, _dark(like, len(like)))
        clipping = Clipping(camera.height, camera.width, self.settings.near, self.settings.far)
        library, topology = self.library.to(like.device, like.dtype), self._topology.to(like.device)
        return self._find(library, topology, parameters, objects.asset.reshape(-1), clipping)


def _dark(like: Tensor, scenes: int) -> LightBatch:
    nothing = like.new_zeros(scenes, 3)
    return LightBatch(nothing, nothing, nothing)
