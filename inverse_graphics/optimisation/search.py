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
from inverse_graphics.optimisation.ascent import (
    Ascent,
    Poses,
    log_likelihood,
    log_prior,
    surrogate,
)
from inverse_graphics.optimisation.exchanges import Judgement, Score, draw_starts, exchanged
from inverse_graphics.optimisation.settings import FROM_ANSWER, FROM_PRIOR, OptimiseSettings
from inverse_graphics.optimisation.trace import Optimised, Trace
from inverse_graphics.render.engine import RenderEngine
from inverse_graphics.render.finite_difference.steps import StepSchedule
from inverse_graphics.render.finite_difference.whole_scenes import with_step

BATCH_SIZE = 128
"""Scenes that are drawn and compared together where nothing is differentiated; more fit into no cache."""

Progress = Callable[[int], None]
"""Is told how many steps are done."""


@dataclass(frozen=True)
class SceneSearch:
    """Searches for scenes of a stage's family through an engine that has gradients, differences included.

    sigma: standard deviation of the images' noise, grey levels.

    Raises:
        EngineError: the engine has no gradients.
    """

    space: SceneSpace
    engine: RenderEngine
    sigma: float

    def __post_init__(self) -> None:
        if not self.engine.differentiable:
            raise EngineError(
                f"render engine '{self.engine.name}' has no gradients: make it with "
                "make_differentiable_engine, which takes differences"
            )

    def from_prior(
        self,
        images: Tensor,
        generator: torch.Generator,
        settings: OptimiseSettings = FROM_PRIOR,
        progress: Progress = lambda _: None,
    ) -> Optimised:
        """Search from scenes drawn from the prior.  images: (B, 3, H, W) in [0, 1]."""
        seen = images.repeat_interleave(settings.restarts, dim=0)
        score = self._score(seen, settings.levels)
        starts = draw_starts(len(seen), self.space, score, settings.candidates, generator)
        return self._search(seen, starts, generator, settings, progress)

    def from_scenes(
        self,
        images: Tensor,
        scenes: SceneLatents,
        generator: torch.Generator,
        settings: OptimiseSettings = FROM_ANSWER,
        progress: Progress = lambda _: None,
    ) -> Optimised:
        """Search from given scenes, by as many restarts as there are scenes an image; never end with worse.

        images: (B, 3, H, W) in [0, 1].  scenes: B · r, those of an image in a row.
        """
        restarts = len(scenes.asset) // len(images)
        seen = images.repeat_interleave(restarts, dim=0)
        settings = settings.model_copy(update={"restarts": restarts})
        return self._search(seen, scenes, generator, settings, progress)

    def _search(
        self,
        images: Tensor,
        scenes: SceneLatents,
        generator: torch.Generator,
        settings: OptimiseSettings,
        progress: Progress,
    ) -> Optimised:
        """Alternate exchanges and ascents.  images: (B · r, 3, H, W).  scenes: where each search begins."""
        trace, rounds = Trace(settings.restarts), settings.steps_of_rounds
        scenes = nearest_first(scenes, self.space)
        for number, steps in enumerate(rounds):
            first = sum(rounds[:number])
            if number and settings.exchanges:
                judgement = self._judgement(images, settings.levels_after(first))
                scenes = exchanged(
                    scenes,
                    self.space,
                    judgement,
                    settings.orientations,
                    settings.exchanges,
                    generator,
                )
            scenes = self._climb(images, scenes, range(first, first + steps), settings, trace, progress)
        with torch.no_grad():
            self._note(trace, images, scenes, draw_scenes(scenes, self.space, self.engine))
        return trace.found(self.space)

    def _climb(
        self,
        images: Tensor,
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
            pictures = draw_scenes(current, self.space, engine)
            self._note(trace, images, current, pictures.detach())
            levels = settings.levels_after(step)
            ascent.step(surrogate(images, pictures, current, self.space, self.sigma, levels), over)
            poses.confine(self.space)
            progress(step + 1)
        return poses.put(scenes).map(Tensor.detach)

    def _note(self, trace: Trace, images: Tensor, scenes: SceneLatents, pictures: Tensor) -> None:
        likelihood = log_likelihood(images, pictures, self.sigma)
        trace.add(scenes, likelihood + log_prior(scenes, self.space), likelihood)

    def _judgement(self, images: Tensor, levels: int) -> Judgement:
        def unexplained(scenes: SceneLatents) -> Tensor:
            error = (images - draw_scenes(scenes, self.space, self.engine)).square().sum(dim=1)
            return error.square()  # so that noise, which is everywhere, does not outweigh an object

        return Judgement(self._score(images, levels), unexplained)

    def _score(self, images: Tensor, levels: int) -> Score:
        """The surrogate, and what the prior says of counts and kinds; of few scenes at a time."""

        def score(scenes: SceneLatents, number: Tensor) -> Tensor:
            pictures = draw_scenes(scenes, self.space, self.engine)
            value = surrogate(images[number], pictures, scenes, self.space, self.sigma, levels)
            return value + log_prior(scenes, self.space)

        def score_in_turn(scenes: SceneLatents, number: Tensor) -> Tensor:
            parts = zip(scenes.split(BATCH_SIZE), torch.split(number, BATCH_SIZE), strict=True)
            return torch.cat([score(some, own) for some, own in parts])

        return score_in_turn
