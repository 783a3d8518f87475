"""How far two render engines agree: in what they see, and in which way they say things should move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from inverse_graphics.geometry.transforms import matrix_from_rotation_vector
from inverse_graphics.render.embedded.visibility import Visibility
from inverse_graphics.render.engine import Layers, RenderEngine
from inverse_graphics.render.pictures import render
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch


class TwoStageEngine(Protocol):
    """An engine that says which face covers each pixel before it draws."""

    def visibility(self, objects: ObjectBatch, camera: CameraBatch) -> Visibility:
        """Find what is visible in the B · N layers."""

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Draw every object of every scene alone."""


class FaceAgreement(NamedTuple):
    """What two engines see in the same layers.

    pixels: how many either of them covers with a face.  same_face: the share of those where both see the
    same.  same_face_of_all: the same share of all pixels of all layers, empty ones included.
    same_colour: of the pixels where both see the same face, the share whose colours lie within 1/255.
    colour, depth: the largest difference of colour, and the largest relative one of depth, where both see the
    same faces in a pixel and in the eight about it, with which edges mix it.
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
        drawn, redrawn = (engine.layers(*arguments, scenes.light) for engine in (one, other))
    covered, same = (faces >= 0) | (others >= 0), faces == others
    off = (drawn.rgb - redrawn.rgb).abs().amax(dim=2)
    apart = (drawn.depth - redrawn.depth).abs() / drawn.depth
    apart = torch.where(covered & (drawn.depth != redrawn.depth), apart, 0.0)
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
    """Give the face at every pixel centre, (B, N, H, W) int64, row of the library, −1 where there is none."""
    height, width = scenes.camera.height, scenes.camera.width
    layer, x, y, face = visibility.fragments[: visibility.covered].long().unbind(dim=1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    image = face.new_full((scenes.objects.asset.numel(), height, width), -1)
    image[layer[inside], y[inside], x[inside]] = face[inside]
    return image.reshape(*scenes.objects.asset.shape, height, width)


def pyramid_loss(image: Tensor, target: Tensor, levels: int = 4, sigma: float = 0.1) -> Tensor:
    """Negative log-likelihood of a Gaussian pyramid without its constant, (B,), nats.

    image, target: (B, 3, H, W). Level l is the picture averaged over squares of 2^l pixels and weighs 4^l, so
    that the coarse levels count as much as the fine ones: averaging divides a sum of squares by four.
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
    """Gradients of a loss.  position: (B, N, 3), per metre.  rotation: (B, N, 3), per radian, world axes."""

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
    turn = torch.zeros_like(position).requires_grad_()
    rotation = matrix_from_rotation_vector(turn) @ scenes.objects.rotation.detach()
    moving = replace(scenes, objects=replace(scenes.objects, position=position, rotation=rotation))
    image = render(moving, engine).image
    gradients = torch.autograd.grad(loss(image, target).sum(), (position, turn))
    return PoseGradients(*gradients)


class GradientCosines(NamedTuple):
    """Cosines of two engines' gradients, (B,) each, over all objects of a scene."""

    position: Tensor
    rotation: Tensor


def compare_gradients(
    one: RenderEngine, other: RenderEngine, scenes: SceneBatch, target: Tensor
) -> GradientCosines:
    """Compare which way two engines would move and turn the objects of each scene to match target images.

    target: (B, 3, H, W), the same for both engines.
    """
    ours, theirs = (pose_gradients(engine, scenes, target) for engine in (one, other))
    pairs = zip(ours, theirs, strict=True)
    return GradientCosines(
        *(torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1), dim=1) for a, b in pairs)
    )
