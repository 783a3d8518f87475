"""Search for the scenes of images through a renderer: gradients, exchanges, restarts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.scene_latents import draw_scenes, nearest_first
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.observation.model import ObservationModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.optimisation.ascent import (
    Ascent,
    Poses,
    log_prior,
    surrogate,
)
from inverse_graphics.optimisation.exchanges import Criteria, Score, draw_starts, exchanged
from inverse_graphics.optimisation.settings import FROM_ANSWER, FROM_PRIOR, OptimiseSettings
from inverse_graphics.optimisation.trace import Optimised, Trace
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.finite_difference.steps import StepSchedule
from inverse_graphics.rendering.finite_difference.whole_scenes import with_step

BATCH_SIZE = 128
"""Scenes that are rendered and scored together without gradients; larger batches do not fit into caches."""

Progress = Callable[[int], None]
"""Called with the number of steps done."""


@dataclass(frozen=True)
class SceneSearch:
    """Searches for scenes of a family through a differentiable engine, which may use finite differences.

    Attributes:
        observation_model: the noise of the images.

    Raises:
        EngineError: the engine has no gradients.

    """

    space: SceneSpace
    engine: RenderEngine
    observation_model: ObservationModel

    def __post_init__(self) -> None:
        if not self.engine.differentiable:
            raise EngineError(
                f"render engine '{self.engine.name}' has no gradients: make it with "
                "make_differentiable_engine, which adds finite differences"
            )

    def from_prior(
        self,
        observation: Observation,
        generator: torch.Generator,
        settings: OptimiseSettings = FROM_PRIOR,
        progress: Progress = lambda _: None,
    ) -> Optimised:
        """Search for the scenes of B images, from scenes that are sampled from the prior."""
        repeated = _repeated(observation, settings.restarts)
        score = self._score(repeated, settings.levels)
        K = self.space.intrinsics(repeated)
        starts = draw_starts(K, self.space, score, settings.candidates, generator)
        return self._search(repeated, starts, generator, settings, progress)

    def from_scenes(
        self,
        observation: Observation,
        scenes: SceneLatents,
        generator: torch.Generator,
        settings: OptimiseSettings = FROM_ANSWER,
        progress: Progress = lambda _: None,
    ) -> Optimised:
        """Search from given scenes; the result is never worse than these.

        Args:
            observation: B images.
            scenes: B · r initial scenes, r for each image, adjacent.
        """
        restarts = len(scenes) // len(observation)
        settings = settings.model_copy(update={"restarts": restarts})
        return self._search(_repeated(observation, restarts), scenes, generator, settings, progress)

    def _search(
        self,
        observation: Observation,
        scenes: SceneLatents,
        generator: torch.Generator,
        settings: OptimiseSettings,
        progress: Progress,
    ) -> Optimised:
        """Alternate exchanges and gradient ascent.

        Args:
            observation: B · r images.
            scenes: the initial scene of each search.
        """
        trace, rounds = Trace(settings.restarts), settings.steps_of_rounds
        scenes = nearest_first(scenes, self.space)
        for number, steps in enumerate(rounds):
            first = sum(rounds[:number])
            if number and settings.exchanges:
                criteria = self._criteria(observation, settings.levels_after(first))
                scenes = exchanged(
                    scenes,
                    self.space,
                    criteria,
                    settings.orientations,
                    settings.exchanges,
                    generator,
                )
            scenes = self._climb(observation, scenes, range(first, first + steps), settings, trace, progress)
        with torch.no_grad():
            self._note(trace, observation, scenes, draw_scenes(scenes, self.space, self.engine))
        return trace.found(self.space)

    def _climb(
        self,
        observation: Observation,
        scenes: SceneLatents,
        steps: range,
        settings: OptimiseSettings,
        trace: Trace,
        progress: Progress,
    ) -> SceneLatents:
        poses = Poses.from_latents(scenes)
        ascent = Ascent(poses, settings)
        for step in steps:
            over = step / settings.steps
            engine = with_step(self.engine, StepSchedule().step_px(over))
            current = poses.put(scenes)
            render = draw_scenes(current, self.space, engine)
            self._note(trace, observation, current, render.map(Tensor.detach))
            ascent.step(self._surrogate(observation, render, current, settings.levels_after(step)), over)
            poses.confine(self.space)
            progress(step + 1)
        return poses.put(scenes).map(Tensor.detach)

    def _note(self, trace: Trace, observation: Observation, scenes: SceneLatents, render: Rendered) -> None:
        likelihood = self.observation_model.log_prob(observation, render)
        trace.add(scenes, likelihood + log_prior(scenes, self.space), likelihood)

    def _surrogate(
        self, observation: Observation, render: Rendered, scenes: SceneLatents, levels: int
    ) -> Tensor:
        return surrogate(observation, render, scenes, self.space, self.observation_model, levels)

    def _criteria(self, observation: Observation, levels: int) -> Criteria:
        def unexplained(scenes: SceneLatents) -> Tensor:
            residual = observation.residual(draw_scenes(scenes, self.space, self.engine))
            error = residual.square().sum(dim=1)
            return error.square()  # else noise, which is in every pixel, would outweigh an object

        return Criteria(self._score(observation, levels), unexplained)

    def _score(self, observation: Observation, levels: int) -> Score:
        """The surrogate plus the log prior, computed for a few scenes at a time."""

        def score(scenes: SceneLatents, number: Tensor) -> Tensor:
            render = draw_scenes(scenes, self.space, self.engine)
            value = self._surrogate(observation[number], render, scenes, levels)
            return value + log_prior(scenes, self.space)

        def score_in_turn(scenes: SceneLatents, number: Tensor) -> Tensor:
            parts = zip(scenes.split(BATCH_SIZE), torch.split(number, BATCH_SIZE), strict=True)
            return torch.cat([score(some, own) for some, own in parts])

        return score_in_turn


def _repeated(observation: Observation, times: int) -> Observation:
    """Each image `times` times, adjacent."""
    return observation.map(lambda part: part.repeat_interleave(times, dim=0))
