"""Scenes of the family that a 3D model knows, drawn with the noise that it expects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.families.family import SceneFamily
from inverse_graphics.geometry.rotation import matrix_from_quaternion
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.metrics.scene_metrics import evaluate_scenes
from inverse_graphics.models.weights import ModelDocument
from inverse_graphics.parse import Parse
from inverse_graphics.report.exam import FamiliarImages, ForeignImages, Marks
from inverse_graphics.report.familiar_scenes import FamiliarScenes
from inverse_graphics.report.foreign_scenes import foreign_to


@dataclass(frozen=True)
class SceneExam:
    """An `Exam`."""

    scenes: FamiliarScenes

    @classmethod
    def of(cls, document: ModelDocument) -> SceneExam:
        """For a 3D model.

        Raises:
            ModelError: its settings are not those of a 3D model.
        """
        return cls(FamiliarScenes.of(document))

    @property
    def name(self) -> str:
        """The family's kind."""
        return self.scenes.settings.family.kind

    def familiar(self, number: int, seed: int) -> FamiliarImages:
        """Fresh scenes of the family."""
        drawn = self.scenes.sample(number, seed)
        truth, family = PredictedScenes.from_batch(drawn), self.scenes.family
        images = self.scenes.photograph(drawn, seed)
        return FamiliarImages(images, lambda parses: marks(parses, truth, family))

    @property
    def foreign(self) -> ForeignImages:
        """Other objects, digits, colours, noise and photographs."""
        return foreign_to(self.scenes.settings.family)


def marks(parses: Sequence[Parse], truth: PredictedScenes, family: SceneFamily) -> Marks:
    """How right parses of scenes of a family are."""
    metrics = evaluate_scenes(parsed_scenes(parses, family), truth, family.symmetries, family.kinds)

    figures = metrics.flat()
    by_kind = [v for name, v in figures.items() if re.fullmatch("rotation_error_deg/.*_median", name)]
    return Marks(
        count_accuracy=figures.get("count_accuracy"),
        identity_accuracy=figures.get("identity_of_all"),
        position_error_m=figures.get("position_error_m_median"),
        rotation_error_degrees=max(by_kind, default=None),
        camera_error_degrees=figures.get("camera_direction_error_deg_median"),
    )


def parsed_scenes(parses: Sequence[Parse], family: SceneFamily) -> PredictedScenes:
    """Parses in the form in which scenes are compared."""
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
