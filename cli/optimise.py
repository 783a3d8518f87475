"""`inverse-graphics optimise`."""

from __future__ import annotations

import json as json_format
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from inverse_graphics.errors import ImageError, ModelError

from .streams import STDOUT, advancing, complain, console, json_lines, say

if TYPE_CHECKING:
    from inverse_graphics.optimisation.optimiser import OptimiseResult, SceneOptimiser
    from inverse_graphics.optimisation.settings import OptimiseSettings

EXAMPLES = """\
inverse-graphics optimise table.png --out found/
inverse-graphics optimise table.png --restarts 4 --steps 300 --seed 1 --out found/
inverse-graphics optimise images/ --start network --json - | jq .log_likelihood
inverse-graphics optimise table.png --engine open3d --restarts 2 --workers 2
inverse-graphics optimise cube.png --family single_object --out found/
inverse-graphics optimise table.png --exchanges 0 --restarts 16"""

Count = Annotated[int | None, typer.Option(metavar="N", min=1, max=4096)]


def optimise(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Images, or folders of them.", show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR", help="The 3D model whose scenes are searched; table_top if not given."
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Search the scenes of a family instead, for which no model is needed."
        ),
    ] = None,
    start: Annotated[
        Literal["prior", "network"],
        typer.Option(help="Begin at scenes drawn from the family, or at the model's answer."),
    ] = "prior",
    restarts: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1024, help="Searches of an image from the prior; 16 by itself."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, max=100_000, help="Gradient steps; 150 from the prior, 60 from the network."
        ),
    ] = None,
    exchanges: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=4096,
            help="Objects tried elsewhere now and then, beside other kinds and turns; 0 for gradients alone.",
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="The render engine; one without gradients is differenced.")
    ] = "embedded",
    workers: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=256, help="Processes that draw such an engine's differences."),
    ] = 0,
    sigma: Annotated[
        float | None,
        typer.Option(
            metavar="GREY",
            min=0.001,
            max=1,
            help="Noise of pixels in [0, 1], with --family; 0.05 if not given. A model knows its own.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write for each image a scene file, a picture, and an animation."),
    ] = None,
    json: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-", help="Write one JSON object per image and line to FILE, or - for stdout."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The same seed finds the same scene.")] = 0,
) -> None:
    """Search for the scene of an image through a renderer: what one does without a network, or after it.

    Gradients move objects and camera; now and then each object is tried as another kind, turned, taken away,
    or put elsewhere. The best of several searches is kept: that of the greatest log p(image, scene).

    An image that cannot be read is told on stderr, the others are still answered, and the exit status is 1.
    """
    from inverse_graphics.io.images import expand_images
    from inverse_graphics.optimisation.optimiser import DEFAULT_MODEL, SIGMA, SceneOptimiser
    from inverse_graphics.optimisation.settings import settings_from

    _check(model, family, start, restarts, sigma)
    paths = expand_images(images)
    if family is None:
        optimiser = SceneOptimiser.from_model(model or DEFAULT_MODEL, engine, workers)
    else:
        optimiser = SceneOptimiser.from_family(family, engine, workers, sigma or SIGMA)
    with optimiser:
        failed = _optimise_all(
            optimiser, paths, start, settings_from(start, restarts, steps, exchanges), out, json, seed
        )
    if failed:
        raise typer.Exit(1)


def _check(
    model: str | None, family: str | None, start: str, restarts: int | None, sigma: float | None
) -> None:
    if model and family:
        raise typer.BadParameter("give --model or --family, not both: a model has its own family")
    if start == "network" and family:
        raise ModelError(
            f"scene family '{family}' has no network: leave out --start network, or give --model"
        )
    if start == "network" and restarts not in (None, 1):
        raise typer.BadParameter("the network gives one answer: leave out --restarts")
    if sigma is not None and family is None:
        raise typer.BadParameter("a model knows the noise of its images: leave out --sigma")


def _optimise_all(
    optimiser: SceneOptimiser,
    paths: list[Path],
    start: Literal["prior", "network"],
    settings: OptimiseSettings,
    out: Path | None,
    json: str | None,
    seed: int,
) -> int:
    """Answer image by image; returns how many could not be read."""
    import torch

    from inverse_graphics.io.images import read_image
    from inverse_graphics.visualisation.parse_table import SearchLines
    from inverse_graphics.visualisation.search_picture import SearchFolder

    failed = 0
    with ExitStack() as stack:
        file = stack.enter_context(json_lines(json) if json else nullcontext())
        folder = SearchFolder(out) if out else None
        lines = SearchLines([str(path) for path in paths]) if json != STDOUT else None
        if lines:
            console().print(lines.header(), style="bold", soft_wrap=True)
        for path in paths:
            try:
                image = read_image(path)
            except ImageError as error:
                failed += 1
                complain(str(error))
                continue
            begun = time.perf_counter()
            with advancing(f"searching {path.name}", settings.steps) as advance:
                generator = torch.Generator().manual_seed(seed)
                found = optimiser.optimise(image, str(path), generator, start, settings, advance)
            seconds = time.perf_counter() - begun
            if lines:
                console().print(lines.line(found.parse, seconds), markup=False, soft_wrap=True)
            if file:
                record = _record(found, optimiser.search.engine.name, start, settings, seconds)
                file.write(json_format.dumps(record, allow_nan=False) + "\n")
            if folder:
                folder(image, found, optimiser.search)
    if out and failed < len(paths):
        say(f"wrote {out}")
    return failed


def _record(
    found: OptimiseResult, engine: str, start: str, settings: OptimiseSettings, seconds: float
) -> dict[str, Any]:
    parse = found.parse.to_json()
    del parse["count_probabilities"], parse["warning"]  # a search knows neither
    return parse | {
        "engine": engine,
        "start": start,
        "restarts": settings.restarts,
        "steps": settings.steps,
        "seconds": seconds,
        "log_joint": float(found.search.best.log_joint),
        "log_joint_of_restarts": found.search.restarts[0].tolist(),
        "log_likelihood_before": found.log_likelihood_before,
    }
