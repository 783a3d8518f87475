"""Evaluation of 3D models: in-distribution scenes, out-of-distribution images, scores and successes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from inverse_graphics.data.mnist import Source, load_digits
from inverse_graphics.data.multi_object import MultiObjectImages
from inverse_graphics.data.out_of_distribution import OUT_OF_DISTRIBUTION, SIDE, Images
from inverse_graphics.errors import ModelError
from inverse_graphics.evaluation.suites import (
    SUITES,
    EvaluationSuite,
    InDistributionImages,
    OutOfDistributionImages,
    Scores,
)
from inverse_graphics.families.family import SceneFamily
from inverse_graphics.families.quantities import FamilySettings
from inverse_graphics.families.registry import build_family
from inverse_graphics.geometry.transforms import matrix_from_quaternion
from inverse_graphics.inference.parse import Parse
from inverse_graphics.io.documents import validated
from inverse_graphics.metrics.object_errors import ObjectErrors
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.metrics.scene_metrics import evaluate_scenes
from inverse_graphics.models.air3d.network import Air3DSettings
from inverse_graphics.models.weights import ModelDocument
from inverse_graphics.observation.model import ChannelsLast
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.packs.symmetry import Symmetry
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, make_engine
from inverse_graphics.rendering.rendering import render
from inverse_graphics.rendering.supersampled import enlarged
from inverse_graphics.scene.batch import SceneBatch

BATCH_SIZE = 128  # scenes per rendering pass
STREAM = 29  # seed component that separates the random numbers of these scenes from those of training


@dataclass(frozen=True)
class InDistributionScenes:
    """Newly sampled scenes of a 3D model's family, and their images.

    Attributes:
        settings: settings of the model.
        family: the scene family.
    """

    settings: Air3DSettings
    family: SceneFamily

    @classmethod
    def from_document(cls, document: ModelDocument) -> InDistributionScenes:
        """Build from a 3D model's document.

        Raises:
            ModelError: its settings are not those of a 3D model.
        """
        settings = validated(Air3DSettings, document.settings, "the model's settings", ModelError)
        return cls(settings, build_family(settings.family))

    def sample(self, count: int, seed: int) -> SceneBatch:
        """Sample `count` scenes; equal seeds give equal scenes."""
        return self.family.sample(count, generator_of(seed)).scene

    def noisy_images(self, scenes: SceneBatch, seed: int) -> Images:
        """Render images with the model's noise, (H, W, 3) each, in [0, 1].

        Args:
            scenes: B scenes.
            seed: seed of the noise.
        """
        return list(self.observe(scenes, seed).to_arrays())

    def observe(self, scenes: SceneBatch, seed: int) -> Observation:
        """Render scenes with the model's noise as a batched `Observation`.

        Args:
            scenes: B scenes.
            seed: seed of the noise.
        """
        model = self.settings.noise.model(self.settings.sigma)
        render = renders(scenes, self.family)
        render = render.replace(rgb=render.rgb.clamp(0, 1))
        observation = model.sample(render, ChannelsLast(generator_of(seed + 1)))
        return observation.clipped().replace(K=scenes.camera.K)


def generator_of(seed: int) -> torch.Generator:
    """Make the generator of a seed, independent of those of other seeds."""
    state = np.random.SeedSequence((STREAM, seed)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) % 2**63)


def render_images(scenes: SceneBatch, family: SceneFamily, times: int = 1) -> Images:
    """Render scenes of a family without noise, enlarged by a factor `times`; (H, W, 3) each, in [0, 1]."""
    enlarged_scenes = scenes.replace(camera=enlarged(scenes.camera, times))
    return list(Observation(renders(enlarged_scenes, family).rgb).to_arrays())


@torch.inference_mode()
def renders(scenes: SceneBatch, family: SceneFamily) -> Rendered:
    """Render scenes of a family."""
    engine = make_engine(DEFAULT_ENGINE, family.library)
    return Rendered.cat([Rendered.from_rendering(render(some, engine)) for some in scenes.split(BATCH_SIZE)])


NOISE_AND_PHOTOGRAPHS = ("uniform noise", "Gaussian noise", "salt noise", "photograph")
OTHER_OBJECTS = {
    "primitives": ("primitives/cube", "primitives/sphere", "primitives/cylinder"),
    "crockery": ("crockery/bowl", "crockery/mug", "crockery/glass"),
}
"""Kinds of objects for out-of-distribution scenes, by pack name."""


def out_of_distribution_for(settings: FamilySettings) -> OutOfDistributionImages:
    """Generators of images outside a family: other objects on the same table, and unrelated images."""
    others = {
        pack: kinds
        for pack, kinds in OTHER_OBJECTS.items()
        if not any(kind.startswith(f"{pack}/") for kind in settings.kinds)
    }
    return {
        **{pack: _other_objects(settings, kinds) for pack, kinds in others.items()},
        "digits": digits,
        "colour gradients": gradients,
        "one colour": blank,
        **{kind: OUT_OF_DISTRIBUTION[kind] for kind in NOISE_AND_PHOTOGRAPHS},
    }


def digits(count: int, generator: np.random.Generator) -> Images:
    """Sample images of several handwritten digits, white on black."""
    streams = MultiObjectImages(load_digits("test", "shipped"))
    return list(streams.fixed_set(count, int(generator.integers(2**31))).images)


def gradients(count: int, generator: np.random.Generator) -> Images:
    """Sample linear gradients between two random colours, in random directions."""
    row, column = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / (SIDE - 1)
    images = []
    for _ in range(count):
        angle, ends = generator.uniform(0, 2 * np.pi), generator.random((2, 3), dtype=np.float32)
        along = row * np.sin(angle) + column * np.cos(angle)
        share = ((along - along.min()) / np.ptp(along))[..., None]
        images.append((ends[0] * (1 - share) + ends[1] * share).astype(np.float32))
    return images


def blank(count: int, generator: np.random.Generator) -> Images:
    """Sample images of one random colour, every second one grey."""
    colours = generator.random((count, 3), dtype=np.float32)
    colours[::2] = colours[::2, :1]
    return [np.broadcast_to(colour, (SIDE, SIDE, 3)) for colour in colours]


def _other_objects(
    settings: FamilySettings, kinds: tuple[str, ...]
) -> Callable[[int, np.random.Generator], Images]:
    """Make a generator of images of the family's scenes with objects of other kinds."""
    family = build_family(settings.with_kinds(kinds))

    def draw(count: int, generator: np.random.Generator) -> Images:
        scenes = family.sample(count, generator_of(int(generator.integers(2**31)))).scene
        return render_images(scenes, family)

    return draw


@dataclass(frozen=True)
class SceneSuite:
    """The `EvaluationSuite` of 3D models.

    Attributes:
        scenes: scenes of the model's family.
    """

    scenes: InDistributionScenes

    @classmethod
    def from_document(cls, document: ModelDocument) -> SceneSuite:
        """Build the suite from a 3D model's document.

        Raises:
            ModelError: its settings are not those of a 3D model.
        """
        return cls(InDistributionScenes.from_document(document))

    @property
    def name(self) -> str:
        """The name of the scene family's type."""
        return self.scenes.settings.family.kind

    def in_distribution(self, number: int, seed: int) -> InDistributionImages:
        """Images of newly sampled scenes of the family."""
        drawn = self.scenes.sample(number, seed)
        truth, family = PredictedScenes.from_batch(drawn), self.scenes.family
        images = self.scenes.noisy_images(drawn, seed)
        return InDistributionImages(images, lambda parses: scene_scores(parses, truth, family))

    @property
    def out_of_distribution(self) -> OutOfDistributionImages:
        """Other objects, digits, colours, noise and photographs."""
        return out_of_distribution_for(self.scenes.settings.family)


@SUITES.register("air3d")
def scene_suite(document: ModelDocument, digits: Source) -> EvaluationSuite:
    """Make the suite of a 3D model.

    Raises:
        ModelError: its settings are not those of a 3D model.
    """
    del digits
    return SceneSuite.from_document(document)


def scene_scores(parses: Sequence[Parse], truth: PredictedScenes, family: SceneFamily) -> Scores:
    """Score parses of scenes of a family."""
    metrics = evaluate_scenes(parsed_scenes(parses, family), truth, family.symmetries, family.kinds)

    figures = metrics.flat()
    by_kind = [v for name, v in figures.items() if re.fullmatch("rotation_error_deg/.*_median", name)]
    return Scores(
        count_accuracy=figures.get("count_accuracy"),
        identity_accuracy=figures.get("identity_of_all"),
        position_error_m=figures.get("position_error_m_median"),
        rotation_error_degrees=max(by_kind, default=None),
        camera_error_degrees=figures.get("camera_direction_error_deg_median"),
    )


def parsed_scenes(parses: Sequence[Parse], family: SceneFamily) -> PredictedScenes:
    """Convert parses to `PredictedScenes`, the input of the metrics."""
    counts = torch.tensor([parse.count for parse in parses], dtype=torch.int64)
    there = torch.arange(family.max_objects) < counts[:, None]
    found = [one for parse in parses for one in parse.objects]
    kinds = [family.kinds.index(one.identity or "") for one in found]

    def slots(empty: Tensor, values: Sequence[object]) -> Tensor:
        filled = empty.expand(*there.shape, *empty.shape).clone()
        filled[there] = torch.tensor(values, dtype=empty.dtype).reshape(-1, *empty.shape)
        return filled

    quaternion = slots(torch.tensor([0.0, 0.0, 0.0, 1.0]), [one.quaternion_xyzw for one in found])
    poses = [parse.camera.T_world_camera for parse in parses if parse.camera is not None]
    return PredictedScenes(
        counts,
        slots(torch.tensor(-1), kinds),
        slots(torch.zeros(3), [one.position_m for one in found]),
        matrix_from_quaternion(quaternion),
        torch.tensor(poses).reshape(-1, 4, 4),
    )


WITHIN_M, WITHIN_DEGREES = 0.02, 15.0


class SceneSuccess(NamedTuple):
    """Success criteria of B images, (B,) bool each; every criterion implies the ones before it.

    Attributes:
        counted: the count is correct.
        placed: every true object, also an occluded one, is matched by one of its kind within `WITHIN_M`.
        succeeded: every match is rotated by at most `WITHIN_DEGREES` from the truth, modulo symmetry.
    """

    counted: Tensor
    placed: Tensor
    succeeded: Tensor


def scene_success(
    predicted: PredictedScenes, truth: PredictedScenes, symmetries: Sequence[Symmetry]
) -> SceneSuccess:
    """Compare inferred with true scenes, image by image.

    Args:
        predicted: B inferred scenes.
        truth: B true scenes.
        symmetries: symmetry of each kind, indexed by `asset`.
    """
    errors, image, _ = ObjectErrors.match(predicted, truth, WITHIN_M, symmetries)

    def all_of(right: Tensor) -> Tensor:
        wrong = torch.zeros(len(truth.count), dtype=torch.int64)
        return wrong.index_add(0, image, (~right).long()) == 0

    counted = predicted.count == truth.count
    placed = counted & all_of(errors.identified)
    return SceneSuccess(counted, placed, placed & all_of(errors.angle <= WITHIN_DEGREES))
