"""The interface of render engines, which render each object alone as a layer."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch


class Layers(NamedTuple):
    """Each object rendered alone: N layers for each of B scenes.

    Attributes:
        rgb: (B, N, 3, H, W), linear colour in [0, 1] already multiplied by alpha (associated alpha).
        depth: (B, N, H, W), metres along the camera's z axis; +inf where the object covers nothing.
        alpha: (B, N, H, W), the share of the pixel that the object covers, in [0, 1].
    """

    rgb: Tensor
    depth: Tensor
    alpha: Tensor


@runtime_checkable
class RenderEngine(Protocol):
    """Renders the objects of scenes, each alone."""

    @property
    def name(self) -> str:
        """The name by which commands and recipes choose this engine."""

    @property
    def differentiable(self) -> bool:
        """Whether `layers` carries gradients to its arguments."""

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone, unoccluded by the others.

        Args:
            objects: N object slots of each of B scenes; a slot whose asset is −1 is empty.
            camera: B cameras of one image size.
            light: B lights.

        Returns:
            N layers for each scene; those of empty slots cover nothing.
        """
