"""Search for the scene of an image: the functions that scripts and the command line call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import torch

from inverse_graphics.devices import resolve_device
from inverse_graphics.errors import ModelError
from inverse_graphics.families.registry import read_family
from inverse_graphics.inference.image_resize import resize_to_colour
from inverse_graphics.inference.parse import Parse
from inverse_graphics.io.images import ImageLike, as_image
from inverse_graphics.models.air3d.inference import read_scenes
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.models.weights import load_model
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation
from inverse_graphics.optimisation.answer import Answers
from inverse_graphics.optimisation.search import Progress, SceneSearch
from inverse_graphics.optimisation.settings import (
    FROM_ANSWER,
    FROM_PRIOR,
    OptimiseSettings,
    Start,
    settings_from,
)
from inverse_graphics.optimisation.trace import Optimised
from inverse_graphics.packs.pack import Pack
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, make_differentiable_engine

DEFAULT_MODEL = "table_top"
SIGMA = 0.05
"""Standard deviation of pixel noise, grey levels in [0, 1], if no model determines it."""


class OptimiseResult(NamedTuple):
    """The result of a search for one image.

    Attributes:
        parse: The best scene, as a parser returns it.
        search: Every restart: its best scene, its history and its path.
        log_likelihood_before: log p(image | the network's prediction), nats; None if the search did not start
            from it.
    """

    parse: Parse
    search: Optimised
    log_likelihood_before: float | None


@dataclass(frozen=True)
class SceneOptimiser:
    """Searches for the scenes of images; a context manager, which ends the rendering worker processes.

    >>> with SceneOptimiser.from_model() as optimiser:                                # doctest: +SKIP
    ...     optimiser.optimise("table.png", "table.png", torch.Generator()).parse.count
    2

    Attributes:
        name: The model's or the family's.
        search: The search over a family's scenes through an engine.
        network: The model's network; None where only a family is known.
    """

    name: str
    search: SceneSearch
    network: Air3D | None = None

    @classmethod
    def from_model(
        cls,
        model: str | Path = DEFAULT_MODEL,
        engine: str = DEFAULT_ENGINE,
        workers: int = 0,
        device: str | torch.device = "cpu",
        packs: Sequence[Pack] = (),
    ) -> SceneOptimiser:
        """Search for scenes of a 3D model's family, with the model's noise.

        Args:
            model: A shipped model's name or a model's folder.
            engine: An engine's name (see `available_engines`); one without gradients gets finite differences.
            workers: Worker processes that render finite differences; 0 to render in this process.
            device: Of rendering and comparison: "cpu", "cuda" or "cuda:N".
            packs: Asset packs that replace those of the same names in the model's folder.

        Returns:
            The optimiser, which may also start from the network's prediction.

        Raises:
            DeviceError: This machine has no such device.
            ModelError: No such model, or it is not a 3D model.
            EngineError: No such engine, or it does not work here.
        """
        place = resolve_device(device)
        loaded = load_model(model, packs)
        network = loaded.module.to(place)
        if not isinstance(network, Air3D):
            raise ModelError(f"model '{loaded.name}' does not infer 3D scenes: choose a 3D model")
        drawing = make_differentiable_engine(engine, network.space.family.library.to(place), workers=workers)
        return cls(loaded.name, SceneSearch(network.space, drawing, network.observation_model), network)

    @classmethod
    def from_family(
        cls,
        family: str | Path,
        engine: str = DEFAULT_ENGINE,
        workers: int = 0,
        sigma: float = SIGMA,
        device: str | torch.device = "cpu",
        packs: Sequence[Pack] = (),
    ) -> SceneOptimiser:
        """Search for scenes of a family, without a network.

        Args:
            family: A shipped family's name or a file.
            engine: An engine's name (see `available_engines`); one without gradients gets finite differences.
            workers: Worker processes that render finite differences; 0 to render in this process.
            sigma: Standard deviation of the noise of pixels in [0, 1].
            device: Of rendering and comparison: "cpu", "cuda" or "cuda:N".
            packs: Your own asset packs; if the family names none of their objects, all of their objects
                replace its kinds.

        Returns:
            The optimiser.

        Raises:
            DeviceError: This machine has no such device.
            SceneError: No such family, or settings that are not valid.
            EngineError: No such engine, or it does not work here.
        """
        place = resolve_device(device)
        space = SceneSpace(read_family(family).with_packs(packs)).to(place)
        drawing = make_differentiable_engine(engine, space.family.library.to(place), workers=workers)
        return cls(str(family), SceneSearch(space, drawing, GaussianModel(sigma)))

    def __enter__(self) -> SceneOptimiser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the rendering worker processes, if there are any."""
        close = getattr(self.search.engine, "close", None)
        if close is not None:
            close()

    def optimise(
        self,
        image: ImageLike,
        name: str,
        generator: torch.Generator,
        start: Start = "prior",
        settings: OptimiseSettings | None = None,
        progress: Progress = lambda _: None,
    ) -> OptimiseResult:
        """Search for the scene of one image.

        Args:
            image: A path, a Pillow image, an array or a tensor, as `as_image` describes; its middle square is
                used.
            name: The name of the image, for `Parse.image` and messages.
            generator: The source of randomness.
            start: "prior", scenes sampled from the family, or "network", the network's prediction; the result
                is never worse than the start.
            settings: Numbers of steps and restarts, and step lengths; default `FROM_PRIOR` or `FROM_ANSWER`,
                by the start.
            progress: Called with the number of finished steps.

        Returns:
            The best scene, and the record of the search.

        Raises:
            ImageError: The image cannot be read or is ambiguous.
            ModelError: The start is "network", but there is no network.
        """
        pixels = as_image(image, f"image '{name}'")
        model_image, resize = resize_to_colour(pixels, self.search.space.family.image_size)
        observation = Observation(model_image[None].to(self.search.space.reach.device))
        before = None
        if start == "prior":
            found = self.search.from_prior(observation, generator, settings or FROM_PRIOR, progress)
        else:
            reading = read_scenes(self._network(), observation)
            chosen = settings or FROM_ANSWER
            found = self.search.from_scenes(observation, reading.scenes, generator, chosen, progress)
            before = float(reading.log_likelihood)
        return OptimiseResult(
            Answers(self.name, self.search).parse(found.best, name, model_image, resize), found, before
        )

    def _network(self) -> Air3D:
        if self.network is None:
            raise ModelError(
                f"scene family '{self.name}' has no network: start from the prior, or name a model"
            )
        return self.network


def optimise(
    image: ImageLike,
    model: str | Path | None = None,
    *,
    family: str | Path | None = None,
    start: Start = "prior",
    restarts: int | None = None,
    steps: int | None = None,
    exchanges: int | None = None,
    engine: str = DEFAULT_ENGINE,
    seed: int = 0,
    device: str | torch.device = "cpu",
    packs: Sequence[Pack] = (),
) -> OptimiseResult:
    """Search for the scene of one image through a renderer.

    Args:
        image: A path, a Pillow image, an array or a tensor, as `as_image` describes; its middle square is
            used.
        model: The 3D model whose family is searched, a shipped model's name or a folder; default "table_top"
            if no family is given.
        family: The scene family that is searched instead, a shipped family's name or a file.
        start: "prior", scenes sampled from the family, or "network", the model's prediction; the result is
            never worse than the start.
        restarts: Searches from the prior, of which the best is kept; default 16.
        steps: Gradient steps; default 150 from the prior, 60 from the network.
        exchanges: New objects to score for each slot between rounds of gradient steps, besides other kinds
            and orientations; 0 for gradient steps alone; default 12 from the prior, 6 from the network.
        engine: An engine's name (see `available_engines`); one without gradients gets finite differences.
        seed: Of the random numbers; the same seed gives the same result.
        device: Of rendering and comparison: "cpu", "cuda" or "cuda:N".
        packs: Your own asset packs: all of their objects if the family names none, else they replace those
            of the same names in the model's folder.

    Returns:
        The best scene as a parse, and the record of the search.

    Raises:
        ImageError: The image cannot be read or is ambiguous.
        DeviceError: This machine has no such device.
        ModelError: No such 3D model, or a model and a family, or "network" without a model.
        SceneError: No such family, or settings that are not valid.
        EngineError: No such engine, or it does not work here.
    """
    if model is not None and family is not None:
        raise ModelError(f"got the model '{model}' and the family '{family}': expected one of them")
    name = fspath(image) if isinstance(image, str | PathLike) else "0"
    settings = settings_from(start, restarts, steps, exchanges)
    generator = torch.Generator().manual_seed(seed)
    if family is None:
        optimiser = SceneOptimiser.from_model(model or DEFAULT_MODEL, engine, device=device, packs=packs)
    else:
        optimiser = SceneOptimiser.from_family(family, engine, device=device, packs=packs)
    with optimiser:
        return optimiser.optimise(image, name, generator, start, settings)
