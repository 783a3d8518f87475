"""Agreement of an engine's gradients with finite differences with respect to object and camera poses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inverse_graphics.benchmarks.scenes import table_top_scenes
from inverse_graphics.geometry.transforms import matrix_from_rotation_vector
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, make_engine
from inverse_graphics.rendering.finite_difference.whole_scenes import with_gradients
from inverse_graphics.rendering.rendering import render
from inverse_graphics.rendering.supersampled import Supersampled, enlarged
from inverse_graphics.scene.batch import SceneBatch

PACK = "crockery"
STEP_PX = 0.5
"""Step of central differences, pixels of image motion."""
TARGET_STD_PX = 3.0
"""Standard deviation of the pose difference between scene and target, pixels of image motion."""
REFERENCE_SAMPLES = 4
"""Samples per pixel and axis in the images of finite differences."""
EMBEDDED_SAMPLES = 3
"""Samples per pixel and axis of the embedded engine whose gradients are compared with each engine's."""
CLEARANCE_M = 0.15
"""Height of the objects' origins above the table, metres: five standard deviations of their motion."""
COSINE_THRESHOLD = 0.95
"""Cosine from which two gradients count as equal in direction."""


@dataclass(frozen=True)
class GradientRow:
    """Cosines between gradients and finite differences, over scenes of objects on a table.

    Attributes:
        engine: name of the engine.
        height: height of the images, pixels.
        width: width of the images, pixels.
        objects: objects per scene.
        scenes: number of scenes.
        loss: the image loss, a key of `IMAGE_LOSSES`.
        of: the variables: "objects" (their poses), or "objects and camera".
        share_good: share of scenes with a cosine of at least 0.95.
        median: median cosine.
        lowest: smallest cosine.
        error: norm of the difference between gradients and finite differences, over that of the latter.
        like_embedded: median cosine with the gradients of the supersampled embedded engine.
        like_embedded_share: share of scenes in which that cosine is at least 0.95.
    """

    engine: str
    height: int
    width: int
    objects: int
    scenes: int
    loss: str
    of: str
    share_good: float
    median: float
    lowest: float
    error: float
    like_embedded: float
    like_embedded_share: float


def benchmark_gradients(
    engines: Sequence[str] = (DEFAULT_ENGINE,),
    factors: Sequence[int] = (1, 2, 3),
    sizes: Sequence[tuple[int, int]] = ((64, 64),),
    objects: Sequence[int] = (1, 3),
    scenes: int = 96,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[GradientRow]:
    """Compare the gradients of each engine, supersampled by each factor, with central differences.

    Engines without gradients are differentiated by `FiniteDifference`; they are not supersampled, as they
    take several samples per pixel already.

    The loss is an inner product of the image with its difference from a target image, whose objects and
    camera are moved by about 3 pixels: both blurred by one pixel, or as in a Gaussian `Pyramid`. Central
    differences of ±½ pixel are computed in float64 from images of the embedded engine with 4 × 4 samples
    per pixel.

    Args:
        engines: names of engines.
        factors: supersampling factors.
        sizes: (height, width) of the images, pixels.
        objects: numbers of objects per scene.
        scenes: number of scenes.
        seed: seed of the scenes.
        progress: called with a line of text before each measurement.

    Raises:
        EngineError: an engine is unknown or not available here.
    """
    library = load_pack(PACK).library()
    truth = make_engine(DEFAULT_ENGINE, library)
    for height, width in sizes:
        for count in objects:
            progress(f"finite differences, {height}×{width}, {count} objects")
            batch = table_top_scenes(scenes, height, width, library, count, seed).to("cpu", torch.float64)
            case = _Case.from_scenes(_raised(batch), library, truth, seed)
            expected = case.differences(truth)
            embedded = case.gradients(Supersampled(truth, EMBEDDED_SAMPLES))
            for name in engines:
                for label, engine in _supersampled(name, library, factors):
                    progress(f"{label}, {height}×{width}, {count} objects")
                    for loss, gradient in case.gradients(engine).items():
                        yield from _rows(label, case, loss, gradient, expected[loss], embedded[loss])


def _raised(scenes: SceneBatch) -> SceneBatch:
    """Raise the objects: perturbed ones must not sink into the table, whose waterline has no gradient."""
    up = torch.tensor([0.0, 0.0, CLEARANCE_M]).to(scenes.objects.position)
    return replace(scenes, objects=replace(scenes.objects, position=scenes.objects.position + up))


def _supersampled(
    name: str, library: MeshLibrary, factors: Sequence[int]
) -> Iterator[tuple[str, RenderEngine]]:
    """Label and engine for each factor; an engine without gradients once, with finite differences."""
    engine = make_engine(name, library)
    if not engine.differentiable:
        differences = with_gradients(engine, library)
        yield differences.name, differences
        return
    for factor in factors:
        finer = Supersampled(engine, factor)
        yield finer.name if factor > 1 else engine.name, finer


def _rows(
    engine: str, case: _Case, loss: str, found: Tensor, expected: Tensor, embedded: Tensor
) -> Iterator[GradientRow]:
    camera, (scenes, objects) = case.scenes.camera, case.scenes.objects.asset.shape
    for of, size in (("objects", 6 * objects), ("objects and camera", found.shape[1])):
        gradient, difference = found[:, :size], expected[:, :size]
        cosine = torch.nn.functional.cosine_similarity(gradient, difference, dim=1)
        with_embedded = torch.nn.functional.cosine_similarity(gradient, embedded[:, :size], dim=1)
        yield GradientRow(
            engine=engine,
            height=camera.height,
            width=camera.width,
            objects=objects,
            scenes=scenes,
            loss=loss,
            of=of,
            share_good=float((cosine >= COSINE_THRESHOLD).double().mean()),
            median=float(cosine.median()),
            lowest=float(cosine.min()),
            error=float((gradient - difference).norm() / difference.norm()),
            like_embedded=float(with_embedded.median()),
            like_embedded_share=float((with_embedded >= COSINE_THRESHOLD).double().mean()),
        )


@dataclass(frozen=True)
class _Case:
    """B scenes and the differences of their images from the target images.

    Attributes:
        scenes: the scenes.
        library: their meshes.
        residual: (B, 3, H, W), image minus target image.
    """

    scenes: SceneBatch
    library: MeshLibrary
    residual: Tensor

    @classmethod
    def from_scenes(cls, scenes: SceneBatch, library: MeshLibrary, truth: RenderEngine, seed: int) -> _Case:
        """Render scenes and targets whose poses differ from them by some pixels."""
        count, objects = scenes.objects.asset.shape
        generator = torch.Generator().manual_seed(seed)
        motion = TARGET_STD_PX * torch.randn(count, 6 * objects + 6, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            image, target = (
                _render_supersampled(each, truth) for each in (scenes, perturb_poses(scenes, motion, library))
            )
        return cls(scenes, library, image - target)

    def gradients(self, engine: RenderEngine) -> dict[str, Tensor]:
        """Differentiate each loss with respect to poses, per pixel of image motion: (B, 6 N + 6)."""
        moves = self._moves().requires_grad_()
        losses = self._losses(render(perturb_poses(self.scenes, moves, self.library), engine).image)
        return {
            name: torch.autograd.grad(loss.sum(), moves, retain_graph=True)[0]
            for name, loss in losses.items()
        }

    @torch.no_grad()
    def differences(self, truth: RenderEngine) -> dict[str, Tensor]:
        """Central differences of each loss, divided by the step: (B, 6 N + 6)."""

        def losses(moves: Tensor) -> dict[str, Tensor]:
            return self._losses(_render_supersampled(perturb_poses(self.scenes, moves, self.library), truth))

        start = self._moves()
        steps = STEP_PX * torch.eye(start.shape[1], dtype=start.dtype)
        ends = [(losses(start + step), losses(start - step)) for step in steps]
        return {
            name: torch.stack([(plus[name] - minus[name]) / (2 * STEP_PX) for plus, minus in ends], dim=1)
            for name in IMAGE_LOSSES
        }

    def _losses(self, image: Tensor) -> dict[str, Tensor]:
        return {name: product(image, self.residual) for name, product in IMAGE_LOSSES.items()}

    def _moves(self) -> Tensor:
        count, objects = self.scenes.objects.asset.shape
        return torch.zeros(count, 6 * objects + 6, dtype=torch.float64)


def _render_supersampled(scenes: SceneBatch, engine: RenderEngine) -> Tensor:
    """Render composites with `REFERENCE_SAMPLES`² samples per pixel, averaged: (B, 3, H, W)."""
    image = render(replace(scenes, camera=enlarged(scenes.camera, REFERENCE_SAMPLES)), engine).image
    return torch.nn.functional.avg_pool2d(image, REFERENCE_SAMPLES)


def blurred(images: Tensor) -> Tensor:
    """Blur by a Gaussian with a standard deviation of one pixel.

    Args:
        images: (B, 3, H, W).
    """
    offset = torch.arange(-4, 5, dtype=images.dtype)
    weights = torch.exp(-offset.square() / 2)
    kernel = (weights / weights.sum()).expand(3, 1, 1, 9)
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4), mode="replicate")
    across = torch.nn.functional.conv2d(padded, kernel, groups=3)
    return torch.nn.functional.conv2d(across, kernel.transpose(2, 3), groups=3)


def blurred_product(one: Tensor, other: Tensor) -> Tensor:
    """Inner product of two batches of blurred images (B, 3, H, W): (B,)."""
    return (blurred(one) * blurred(other)).flatten(1).sum(dim=1)


def pyramid_product(one: Tensor, other: Tensor) -> Tensor:
    """Inner product (B,) of two batches of images that induces the squared distance of a `Pyramid`, σ = 1."""
    surrogate, image = GaussianModel(1.0).pyramid(4), Observation(one)
    towards, away = (surrogate.log_prob(image, Rendered(render)) for render in (other, -other))
    return (towards - away) / 2


IMAGE_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "blur": blurred_product,
    "pyramid": pyramid_product,
}
"""Inner products of image and residual that serve as losses."""


def perturb_poses(scenes: SceneBatch, pixels: Tensor, library: MeshLibrary) -> SceneBatch:
    """Change the poses of objects and camera by amounts that are given in pixels of image motion.

    Args:
        scenes: B scenes of N objects.
        pixels: (B, 6 N + 6), translation and rotation vector of each object, then of the camera; in world
            axes, the camera's rotation in its own. An object's rotation moves its farthest vertex in the
            image by about this many pixels, the camera's rotation the whole image.
        library: meshes of the objects.
    """
    objects, camera = scenes.objects, scenes.camera
    count, slots = objects.asset.shape
    moves, steers = pixels[:, : 6 * slots].reshape(count, slots, 6), pixels[:, 6 * slots :]
    focal, pose = camera.K[:, 0, 0], camera.T_world_camera
    metres = (objects.position - pose[:, None, :3, 3]).norm(dim=-1, keepdim=True) / focal[:, None, None]
    radians = metres / library.radius.to(metres)[objects.asset][..., None]
    rotated = pose[:, :3, :3] @ matrix_from_rotation_vector(steers[:, 3:] / focal[:, None])
    eye = pose[:, :3, 3] + steers[:, :3] * metres.mean(dim=1)
    return replace(
        scenes,
        objects=replace(
            objects,
            position=objects.position + moves[..., :3] * metres,
            rotation=matrix_from_rotation_vector(moves[..., 3:] * radians) @ objects.rotation,
        ),
        camera=replace(
            camera,
            T_world_camera=torch.cat([torch.cat([rotated, eye[..., None]], dim=2), pose[:, 3:]], dim=1),
        ),
    )
