"""Searches for the scene of an image: what scripts and the command line call."""

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
"""Standard deviation of the noise of images in [0, 1], where no model states it."""


class OptimiseResult(NamedTuple):
    """What a search found for one image.

    Attributes:
        parse: The best scene, in the form in which parsers answer.
        search: Every restart: its best scene, its history and its path.
        log_likelihood_before: log p(image | the network's answer), nats; None where the search did not start
            from it.
    """

    parse: Parse
    search: Optimised
    log_likelihood_before: float | None


@dataclass(frozen=True)
class SceneOptimiser:
    """Searches for the scenes of images; a context manager, which ends the worker processes that draw.

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
        """Search the scenes of a 3D model's family, with the model's noise.

        Args:
            model: A shipped model's name or a model's folder.
            engine: An engine's name (see `available_engines`); one without gradients is differenced.
            workers: Processes that draw the differences, 0 for none but this one.
            device: Where scenes are drawn and compared, "cpu", "cuda" or "cuda:N".
            packs: Asset packs in place of those of the same names in the model's folder.

        Returns:
            The optimiser, which may also start from the network's answer.

        Raises:
            DeviceError: This machine has no such device.
            ModelError: No such model, or it is not a 3D model.
            EngineError: No such engine, or it does not work here.
        """
        place = resolve_device(device)
        loaded = load_model(model, packs)
        network = loaded.module.to(place)
        if not isinstance(network, Air3D):
            raise ModelError(f"model '{loaded.name}' knows no scenes in space: choose a 3D model")
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
        """Search the scenes of a family, for which no network is needed.

        Args:
            family: A shipped family's name or a file.
            engine: An engine's name (see `available_engines`); one without gradients is differenced.
            workers: Processes that draw the differences, 0 for none but this one.
            sigma: Standard deviation of the noise of pixels in [0, 1].
            device: Where scenes are drawn and compared, "cpu", "cuda" or "cuda:N".
            packs: Asset packs of your own; if the family names none of their objects, all of them take the
                place of its kinds.

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
        """End the processes that draw, if there are any."""
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
            name: What `Parse.image` says.
            generator: The source of randomness.
            start: "prior", scenes drawn from the family, or "network", the network's answer; the result is
                never worse than that.
            settings: How long and how far; by default what suits the start.
            progress: Called with the number of steps done.

        Returns:
            The best scene, and how it was found.

        Raises:
            ImageError: The image cannot be read or could mean two things.
            ModelError: "network", where there is none.
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
        model: The 3D model whose scenes are searched, a shipped one's name or a folder; "table_top" if
            neither a model nor a family is given.
        family: The scene family that is searched instead, a shipped one's name or a file.
        start: "prior", scenes drawn from the family, or "network", the model's answer; the result is never
            worse than that.
        restarts: Searches from the prior, of which the best is kept; 16 if not given.
        steps: Gradient steps; 150 from the prior and 60 from the network if not given.
        exchanges: Objects tried elsewhere now and then, besides other kinds and orientations; 0 for gradients
            alone; 12 from the prior and 6 from the network if not given.
        engine: An engine's name (see `available_engines`); one without gradients is differenced.
        seed: The same seed finds the same scene.
        device: Where scenes are drawn and compared, "cpu", "cuda" or "cuda:N".
        packs: Asset packs of your own: all objects of them if the family names none, or in place of those of
            the same names in the model's folder.

    Returns:
        The best scene as a parse, and how it was found.

    Raises:
        ImageError: The image cannot be read or could mean two things.
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
