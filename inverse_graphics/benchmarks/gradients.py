"""Agreement of an engine's gradients with finite differences of the image when objects move."""

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
AWAY_PX = 3.0
FINE = 4
SAMPLES = 3
GOOD = 0.95


@dataclass(frozen=True)
class GradientRow:
    """Cosines of gradients with finite differences over scenes of objects that stand on a table.

    Attributes:
        loss: how pictures are compared, one of `PRODUCTS`.
        of: whose gradient, the objects' poses alone, or with the camera's.
        share_good: of scenes with a cosine of 0.95 or more.
        error: root mean square distance between the two, over that of the differences.
        like_embedded: median cosine with the gradients of the embedded engine, three samples a pixel, and
            share of scenes in which it is 0.95 or more.
        like_embedded_share: median cosine with the gradients of the embedded engine, three samples a pixel,
            and share of scenes in which it is 0.95 or more.
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
    """Compare each engine, supersampled by each factor, with the same central differences.

    Engines without gradients get them by `FiniteDifference`, and are not supersampled: they take several
    samples of each pixel already.

    The loss is the inner product of the picture with what it lacks to a target whose objects and camera are
    some 3 pixels away, both blurred by one pixel, or as a `Pyramid` of Gaussian noise sees them.
    Differences are of ±½ pixel, of pictures of the embedded engine drawn whole in 4 × 4 samples a pixel.
    float64.

    Raises:
        EngineError: an unknown engine, or one that does not work here.
    """
    library = load_pack(PACK).library()
    truth = make_engine(DEFAULT_ENGINE, library)
    for height, width in sizes:
        for count in objects:
            progress(f"finite differences, {height}×{width}, {count} objects")
            batch = table_top_scenes(scenes, height, width, library, count, seed).to("cpu", torch.float64)
            case = _Case.from_scenes(batch, library, truth, seed)
            expected = case.differences(truth)
            embedded = case.gradients(Supersampled(truth, SAMPLES))
            for name in engines:
                for called, engine in _forms(name, library, factors):
                    progress(f"{called}, {height}×{width}, {count} objects")
                    for loss, gradient in case.gradients(engine).items():
                        yield from _rows(called, case, loss, gradient, expected[loss], embedded[loss])


def _forms(name: str, library: MeshLibrary, factors: Sequence[int]) -> Iterator[tuple[str, RenderEngine]]:
    """An engine at each factor, or, without gradients of its own, as it is; with what to call it."""
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
        alike = torch.nn.functional.cosine_similarity(gradient, embedded[:, :size], dim=1)
        yield GradientRow(
            engine=engine,
            height=camera.height,
            width=camera.width,
            objects=objects,
            scenes=scenes,
            loss=loss,
            of=of,
            share_good=float((cosine >= GOOD).double().mean()),
            median=float(cosine.median()),
            lowest=float(cosine.min()),
            error=float((gradient - difference).norm() / difference.norm()),
            like_embedded=float(alike.median()),
            like_embedded_share=float((alike >= GOOD).double().mean()),
        )


@dataclass(frozen=True)
class _Case:
    """Scenes, and what their pictures lack: (B, 3, H, W)."""

    scenes: SceneBatch
    library: MeshLibrary
    lacking: Tensor

    @classmethod
    def from_scenes(cls, scenes: SceneBatch, library: MeshLibrary, truth: RenderEngine, seed: int) -> _Case:
        """Draw targets some pixels away."""
        count, objects = scenes.objects.asset.shape
        generator = torch.Generator().manual_seed(seed)
        away = AWAY_PX * torch.randn(count, 6 * objects + 6, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            here, there = (_fine(each, truth) for each in (scenes, nudged(scenes, away, library)))
        return cls(scenes, library, here - there)

    def gradients(self, engine: RenderEngine) -> dict[str, Tensor]:
        """Differentiate each loss with respect to pixels of movement, (B, 6 N + 6)."""
        moves = self._moves().requires_grad_()
        losses = self._losses(render(nudged(self.scenes, moves, self.library), engine).image)
        return {
            name: torch.autograd.grad(loss.sum(), moves, retain_graph=True)[0]
            for name, loss in losses.items()
        }

    @torch.no_grad()
    def differences(self, truth: RenderEngine) -> dict[str, Tensor]:
        """Divide central differences of each loss by the step, (B, 6 N + 6)."""

        def losses(moves: Tensor) -> dict[str, Tensor]:
            return self._losses(_fine(nudged(self.scenes, moves, self.library), truth))

        start = self._moves()
        steps = STEP_PX * torch.eye(start.shape[1], dtype=start.dtype)
        ends = [(losses(start + step), losses(start - step)) for step in steps]
        return {
            name: torch.stack([(ahead[name] - behind[name]) / (2 * STEP_PX) for ahead, behind in ends], dim=1)
            for name in PRODUCTS
        }

    def _losses(self, picture: Tensor) -> dict[str, Tensor]:
        return {name: product(picture, self.lacking) for name, product in PRODUCTS.items()}

    def _moves(self) -> Tensor:
        count, objects = self.scenes.objects.asset.shape
        return torch.zeros(count, 6 * objects + 6, dtype=torch.float64)


def _fine(scenes: SceneBatch, engine: RenderEngine) -> Tensor:
    """Whole pictures of many samples a pixel, averaged; (B, 3, H, W)."""
    image = render(replace(scenes, camera=enlarged(scenes.camera, FINE)), engine).image
    return torch.nn.functional.avg_pool2d(image, FINE)


def blurred(images: Tensor) -> Tensor:
    """Blur by a Gaussian with a standard deviation of one pixel.

    Args:
        images: (B, 3, H, W).
    """
    at = torch.arange(-4, 5, dtype=images.dtype)
    weights = torch.exp(-at.square() / 2)
    kernel = (weights / weights.sum()).expand(3, 1, 1, 9)
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4), mode="replicate")
    across = torch.nn.functional.conv2d(padded, kernel, groups=3)
    return torch.nn.functional.conv2d(across, kernel.transpose(2, 3), groups=3)


def blurred_product(one: Tensor, other: Tensor) -> Tensor:
    """Inner product of two batches of pictures (B, 3, H, W), both blurred, (B,)."""
    return (blurred(one) * blurred(other)).flatten(1).sum(dim=1)


def pyramid_product(one: Tensor, other: Tensor) -> Tensor:
    """Inner product (B,) in which a `Pyramid` takes the square of a difference of pictures, σ = 1."""
    surrogate, image = GaussianModel(1.0).pyramid(4), Observation(one)
    towards, away = (surrogate.log_prob(image, Rendered(render)) for render in (other, -other))
    return (towards - away) / 2


PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "blur": blurred_product,
    "pyramid": pyramid_product,
}


def nudged(scenes: SceneBatch, pixels: Tensor, library: MeshLibrary) -> SceneBatch:
    """Move scenes by `pixels`, (B, 6 N + 6): each object's shift and turn, then the camera's; world axes.

    A turn of an object by so many pixels moves its farthest vertex by about so much in the picture, a turn of
    the camera, in its own axes, the whole picture.
    """
    objects, camera = scenes.objects, scenes.camera
    count, slots = objects.asset.shape
    moves, steers = pixels[:, : 6 * slots].reshape(count, slots, 6), pixels[:, 6 * slots :]
    focal, pose = camera.K[:, 0, 0], camera.T_world_camera
    metres = (objects.position - pose[:, None, :3, 3]).norm(dim=-1, keepdim=True) / focal[:, None, None]
    radians = metres / library.radius.to(metres)[objects.asset][..., None]
    turned = pose[:, :3, :3] @ matrix_from_rotation_vector(steers[:, 3:] / focal[:, None])
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
            T_world_camera=torch.cat([torch.cat([turned, eye[..., None]], dim=2), pose[:, 3:]], dim=1),
        ),
    )
