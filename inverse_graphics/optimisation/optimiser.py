"""Optimises the scene of an image file's pixels: what a script and the command line call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.errors import ModelError
from inverse_graphics.families.registry import read_family
from inverse_graphics.inference.image_resize import resize_to_colour
from inverse_graphics.inference.parse import Parse
from inverse_graphics.models.air3d.inference import read_scenes
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.models.weights import load_model
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation
from inverse_graphics.optimisation.answer import Answers
from inverse_graphics.optimisation.search import Progress, SceneSearch
from inverse_graphics.optimisation.settings import FROM_ANSWER, FROM_PRIOR, OptimiseSettings
from inverse_graphics.optimisation.trace import Optimised
from inverse_graphics.render.engines import DEFAULT_ENGINE, make_differentiable_engine

Start = Literal["prior", "network"]
SIGMA = 0.05
"""Noise of images, grey levels, where no model says it."""


class Found(NamedTuple):
    """What was found of one image.

    parse: the best scene.  search: how it was found.  before: log p(x | the network's answer), None without.
    """

    parse: Parse
    search: Optimised
    before: float | None


@dataclass(frozen=True)
class SceneOptimiser:
    """Searches the scenes of images; ends with a `with` statement where worker processes draw.

    name: of the model or the family.  network: None where only a family is known.

    >>> with SceneOptimiser.of_model() as optimiser:                                  # doctest: +SKIP
    ...     optimiser.optimise(image, "table.png", torch.Generator()).parse.count
    2
    """

    name: str
    search: SceneSearch
    network: Air3D | None = None

    @classmethod
    def of_model(
        cls, model: str | Path = "table_top", engine: str = DEFAULT_ENGINE, workers: int = 0
    ) -> SceneOptimiser:
        """With the scenes that a 3D model knows, and its noise.  workers: of engines without gradients.

        Raises:
            ModelError: no such model, or none of scenes in space.
            EngineError: no such engine, or it does not work here.
        """
        loaded = load_model(model)
        network = loaded.module
        if not isinstance(network, Air3D):
            raise ModelError(f"model '{loaded.name}' knows no scenes in space: choose a 3D model")
        drawing = make_differentiable_engine(engine, network.space.family.library, workers=workers)
        return cls(loaded.name, SceneSearch(network.space, drawing, network.observation_model), network)

    @classmethod
    def of_family(
        cls, family: str | Path, engine: str = DEFAULT_ENGINE, workers: int = 0, sigma: float = SIGMA
    ) -> SceneOptimiser:
        """With the scenes of a family, by a shipped one's name or from a file; no network is needed.

        Raises:
            SceneError: no such family, or settings that are not valid.
            EngineError: no such engine, or it does not work here.
        """
        space = SceneSpace(read_family(family))
        drawing = make_differentiable_engine(engine, space.family.library, workers=workers)
        return cls(str(family), SceneSearch(space, drawing, GaussianModel(sigma)))

    def __enter__(self) -> SceneOptimiser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes that draw, if there are any."""
        close = getattr(self.search.engine, "close", None)
        if close is not None:
            close()

    def optimise(
        self,
        image: NDArray[np.floating],
        name: str,
        generator: torch.Generator,
        start: Start = "prior",
        settings: OptimiseSettings | None = None,
        progress: Progress = lambda _: None,
    ) -> Found:
        """Search the scene of one image.

        image: (H, W) or (H, W, 3), floats in [0, 1]; its middle square is looked at.  start: "prior", scenes
        drawn from the family, or "network", the network's answer, which the result is never worse than.
        settings: `FROM_PRIOR` or `FROM_ANSWER` unless given.

        Raises:
            ImageError: the array is not an image.
            ModelError: "network", where there is none.
        """
        model_image, resize = resize_to_colour(image, self.search.space.family.image_size)
        observation, before = Observation(model_image[None]), None
        if start == "prior":
            found = self.search.from_prior(observation, generator, settings or FROM_PRIOR, progress)
        else:
            reading = read_scenes(self._network(), observation)
            chosen = settings or FROM_ANSWER
            found = self.search.from_scenes(observation, reading.scenes, generator, chosen, progress)
            before = float(reading.log_likelihood)
        return Found(
            Answers(self.name, self.search).parse(found.best, name, model_image, resize), found, before
        )

    def _network(self) -> Air3D:
        if self.network is None:
            raise ModelError(
                f"scene family '{self.name}' has no network: start from the prior, or name a model"
            )
        return self.network
