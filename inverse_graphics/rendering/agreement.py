"""Agreement of two render engines: the visible faces, colours and depths, and the gradients of poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from inverse_graphics.geometry.transforms import matrix_from_rotation_vector
from inverse_graphics.rendering.embedded.visibility import Visibility
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch


class TwoStageEngine(Protocol):
    """An engine that determines the face that covers each pixel before it shades."""

    def visibility(self, objects: ObjectBatch, camera: CameraBatch) -> Visibility:
        """Find the visible faces of the B · N layers."""

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone."""


class FaceAgreement(NamedTuple):
    """Comparison of two engines on the same layers.

    Attributes:
        pixels: number of pixels that a face covers in at least one engine.
        same_face: the share of these pixels with the same face in both engines.
        same_face_of_all: the share of all pixels of all layers, empty ones included, with the same face.
        same_colour: of the pixels with the same face in both, the share whose colours differ by at most
            1/255.
        colour: the largest difference of colour, over pixels that have the same face in both engines and
            whose eight neighbours do; the neighbours matter because edges are blended with them.
        depth: the largest relative difference of depth, over the same pixels.
    """

    pixels: int
    same_face: float
    same_face_of_all: float
    same_colour: float
    colour: float
    depth: float


def compare_faces(one: TwoStageEngine, other: TwoStageEngine, scenes: SceneBatch) -> FaceAgreement:
    """Compare the faces, colours and depths of all layers of some scenes, pixel by pixel."""
    arguments = (scenes.objects, scenes.camera)
    with torch.no_grad():
        faces, others = (face_images(engine.visibility(*arguments), scenes) for engine in (one, other))
        rendered, redrawn = (engine.layers(*arguments, scenes.light) for engine in (one, other))
    covered, same = (faces >= 0) | (others >= 0), faces == others
    off = (rendered.rgb - redrawn.rgb).abs().amax(dim=2)
    apart = (rendered.depth - redrawn.depth).abs() / rendered.depth
    apart = torch.where(covered & (rendered.depth != redrawn.depth), apart, 0.0)
    around = torch.nn.functional.max_pool2d((~same).double().flatten(0, 1), 3, stride=1, padding=1)
    undisturbed = (around == 0).reshape(same.shape)
    return FaceAgreement(
        pixels=int(covered.sum()),
        same_face=float(same[covered].double().mean()),
        same_face_of_all=float(same.double().mean()),
        same_colour=float((off[covered & same] <= 1 / 255).double().mean()),
        colour=float(torch.where(undisturbed, off, 0.0).max()),
        depth=float(torch.where(undisturbed, apart, 0.0).max()),
    )


def face_images(visibility: Visibility, scenes: SceneBatch) -> Tensor:
    """The face at every pixel centre, (B, N, H, W) int64, row of the library, −1 where there is none."""
    height, width = scenes.camera.height, scenes.camera.width
    layer, x, y, face = visibility.fragments[: visibility.covered].long().unbind(dim=1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    image = face.new_full((scenes.objects.asset.numel(), height, width), -1)
    image[layer[inside], y[inside], x[inside]] = face[inside]
    return image.reshape(*scenes.objects.asset.shape, height, width)


def pyramid_loss(image: Tensor, target: Tensor, levels: int = 4, sigma: float = 0.1) -> Tensor:
    """Compute the negative log-likelihood of a Gaussian pyramid without its constant, (B,), nats.

    Args:
        image: (B, 3, H, W).
        target: (B, 3, H, W).
        levels: number of levels. Level l is the image averaged over squares of 2^l pixels, with weight 4^l:
            each level has a quarter of the pixels of the one before.
        sigma: standard deviation of the noise.
    """
    difference = image - target
    loss = difference.new_zeros(len(difference))
    for level in range(levels):
        loss = loss + 4**level * difference.square().sum(dim=(1, 2, 3)) / (2 * sigma**2)
        if min(difference.shape[2:]) < 2:
            break
        difference = torch.nn.functional.avg_pool2d(difference, 2)
    return loss


class PoseGradients(NamedTuple):
    """Gradients of a loss.

    Attributes:
        position: (B, N, 3), per metre.
        rotation: (B, N, 3), per radian, world axes.
    """

    position: Tensor
    rotation: Tensor


def pose_gradients(
    engine: RenderEngine,
    scenes: SceneBatch,
    target: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor] = pyramid_loss,
) -> PoseGradients:
    """Differentiate a loss of whole images, (B,), with respect to the poses of all objects."""
    position = scenes.objects.position.detach().clone().requires_grad_()
    rotation_vector = torch.zeros_like(position).requires_grad_()
    rotation = matrix_from_rotation_vector(rotation_vector) @ scenes.objects.rotation.detach()
    moving = replace(scenes, objects=replace(scenes.objects, position=position, rotation=rotation))
    image = render(moving, engine).image
    gradients = torch.autograd.grad(loss(image, target).sum(), (position, rotation_vector))
    return PoseGradients(*gradients)


class GradientCosines(NamedTuple):
    """Cosines of two engines' gradients, (B,) each, over all objects of a scene."""

    position: Tensor
    rotation: Tensor


def compare_gradients(
    one: RenderEngine, other: RenderEngine, scenes: SceneBatch, target: Tensor
) -> GradientCosines:
    """Compare the gradients of two engines in the poses of the objects of each scene, towards target images.

    Args:
        one: an engine.
        other: an engine.
        scenes: B scenes.
        target: (B, 3, H, W), the same for both engines.
    """
    ours, theirs = (pose_gradients(engine, scenes, target) for engine in (one, other))
    pairs = zip(ours, theirs, strict=True)
    return GradientCosines(
        *(torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1), dim=1) for a, b in pairs)
    )
