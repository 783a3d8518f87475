"""The default render engine: stage 1 finds visible fragments (integers), stage 2 shades them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.backdrop import plan_of
from inverse_graphics.rendering.compositing import Composite, composite_layers
from inverse_graphics.rendering.embedded.drawing import draw, layer_parameters
from inverse_graphics.rendering.embedded.shading import Corners, Slopes, Textures
from inverse_graphics.rendering.embedded.topology import MeshTopology
from inverse_graphics.rendering.embedded.visibility import Clipping, Visibility
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch
from inverse_graphics.scene.standing import box_heights

if TYPE_CHECKING:
    from inverse_graphics.rendering.embedded import scene_numba


SUNK_M = 1e-6
"""Metres below the table that count as on it."""


@dataclass(frozen=True)
class EmbeddedSettings:
    """Settings of the embedded engine.

    Attributes:
        near: metres, smallest rendered depth.
        far: metres, largest rendered depth.
        kernels: "numba" (CPU only), "torch" (any device), or "auto": numba on the CPU, torch elsewhere.
        slopes: the derivative of colour in gradients: "image", its difference between adjacent pixels, or
            "surface", that at the pixel's centre, which is the exact derivative of the image (see `shading`).
    """

    near: float = 0.01
    far: float = 1000.0
    kernels: Literal["auto", "numba", "torch"] = "auto"
    slopes: Slopes = "image"


class EmbeddedEngine:
    """Renders triangle meshes with texture or vertex colour, Lambert shading and unbiased coverage.

    Device and dtype (float32 or float64) are those of the batches; the library is converted. Both sides of
    a face are rendered; the depth of a pixel on a contour is the mean over the surfaces that cover it.
    """

    name = "embedded"
    differentiable = True

    def __init__(self, library: MeshLibrary, settings: EmbeddedSettings | None = None) -> None:
        self.settings = settings or EmbeddedSettings()
        self._models: dict[tuple[torch.device, torch.dtype], _Model] = {}
        self._original = _Model(library, MeshTopology.from_library(library))

    @property
    def library(self) -> MeshLibrary:
        """The meshes that `ObjectBatch.asset` indexes."""
        return self._original.library

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone; differentiable in all but `asset`."""
        return self.draw(objects, camera, light, self.visibility(objects, camera))

    def visibility(self, objects: ObjectBatch, camera: CameraBatch) -> Visibility:
        """Stage 1 alone: the visible fragments of the B · N layers, as integers."""
        model = self._model(objects.position)
        mesh = objects.asset.reshape(-1)
        self._check(mesh)
        no_light = LightBatch(*[torch.zeros_like(camera.T_world_camera[:, :3, 3])] * 3)
        with torch.no_grad():
            parameters = layer_parameters(objects, camera, no_light)
            return self._found(parameters, mesh, model, self._clipping(camera))

    def compiled_model(self, like: Tensor) -> scene_numba.Model:
        """The library converted for the CPU's kernels, with the dtype of `like`."""
        return self._model(like).compiled

    def draw(
        self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch, visibility: Visibility
    ) -> Layers:
        """Stage 2 alone: shade what is visible and blend its edges."""
        model = self._model(objects.position)
        parameters = layer_parameters(objects, camera, light)
        rgb, depth, alpha = self._rendered(parameters, visibility, model, self._clipping(camera))
        slots = objects.asset.shape
        return Layers(
            rgb.reshape(*slots, *rgb.shape[1:]),
            depth.reshape(*slots, *depth.shape[1:]),
            alpha.reshape(*slots, *alpha.shape[1:]),
        )

    def render_scene(self, scene: SceneBatch) -> Composite:
        """Render whole scenes, as `composite_layers` does, without storing layers on the CPU."""
        objects, camera, light = scene.objects, scene.camera, scene.light
        if not self._compiled(objects.position.device) or self._some_behind_table(scene):
            return composite_layers(scene, self)
        from inverse_graphics.rendering.embedded import scene_numba

        self._check(objects.asset)
        return scene_numba.render_scenes(
            layer_parameters(objects, camera, light),
            plan_of(scene.table, scene.background, camera, light),
            objects.asset,
            self.compiled_model(objects.position),
            self._clipping(camera),
            self.settings.slopes,
        )

    def _some_behind_table(self, scene: SceneBatch) -> bool:
        """Whether the table may hide something: boxes about objects reach to the side where no camera is.

        Whole scenes are rendered without that test, for speed.
        """
        present = (scene.table.size.detach().prod(dim=1) > 0)[:, None] & (scene.objects.asset >= 0)
        model = self._model(scene.objects.position)
        lowest, highest = box_heights(scene.objects, model.boxes)
        above = (scene.camera.T_world_camera[:, 2, 3] > 0)[:, None]
        nearest_side = torch.where(above, lowest, -highest)
        return bool((present & (nearest_side < -SUNK_M)).any())

    def _found(self, parameters: Tensor, mesh: Tensor, model: _Model, clipping: Clipping) -> Visibility:
        if self._compiled(parameters.device):
            from inverse_graphics.rendering.embedded import drawing_numba, visibility_numba

            geometry, rows = model.compiled.geometry, drawing_numba.as_rows(parameters)
            return visibility_numba.find_in(geometry, rows, mesh.numpy(), clipping)
        from inverse_graphics.rendering.embedded import visibility_torch

        return visibility_torch.find_visibility(model.library, model.topology, parameters, mesh, clipping)

    def _rendered(
        self, parameters: Tensor, visibility: Visibility, model: _Model, clipping: Clipping
    ) -> tuple[Tensor, Tensor, Tensor]:
        slopes = self.settings.slopes
        if self._compiled(parameters.device):
            from inverse_graphics.rendering.embedded import drawing_numba

            return drawing_numba.draw(parameters, visibility, model.compiled.tables, clipping, slopes)
        return draw(parameters, visibility, model.library, model.corners, model.textures, clipping, slopes)

    def _clipping(self, camera: CameraBatch) -> Clipping:
        return Clipping(camera.height, camera.width, self.settings.near, self.settings.far)

    def _model(self, like: Tensor) -> _Model:
        key = (like.device, like.dtype)
        if key not in self._models:
            original = self._original
            self._models[key] = _Model(
                original.library.to(like.device, like.dtype), original.topology.to(like.device)
            )
        return self._models[key]

    def _compiled(self, device: torch.device) -> bool:
        if self.settings.kernels == "numba" and device.type != "cpu":
            raise EngineError(f"kernels 'numba' work on the CPU, not on {device}: choose 'auto' or 'torch'")
        return self.settings.kernels != "torch" and device.type == "cpu"

    def _check(self, mesh: Tensor) -> None:
        known = len(self.library.names)
        if mesh.numel() and not -1 <= int(mesh.min()) <= int(mesh.max()) < known:
            raise EngineError(
                f"asset index {int(mesh.max())} is not in the library of {known} meshes: "
                "use −1 for an empty slot, else an index into `library.names`"
            )


@dataclass(frozen=True)
class _Model:
    """A library on one device and in one dtype, with derived data."""

    library: MeshLibrary
    topology: MeshTopology

    @cached_property
    def boxes(self) -> Tensor:
        return self.library.boxes()

    @cached_property
    def corners(self) -> Corners:
        return Corners.from_library(self.library)

    @cached_property
    def compiled(self) -> scene_numba.Model:
        from inverse_graphics.rendering.embedded import drawing_numba, scene_numba, visibility_numba

        return scene_numba.Model(
            visibility_numba.Geometry.from_library(self.library, self.topology),
            drawing_numba.Tables.from_library(self.library, self.corners, self.textures),
        )

    @cached_property
    def textures(self) -> Textures:
        return Textures.from_library(self.library)
