"""`inverse-graphics optimise`."""

from __future__ import annotations

import json as json_format
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from inverse_graphics.errors import ModelError

from .application import ReadableImages
from .options import Device, Images, JsonLines, Packs, Seed, loaded_packs, named, number
from .streams import STDOUT, advancing, console, json_lines, notify

if TYPE_CHECKING:
    from inverse_graphics.optimisation.optimiser import OptimiseResult, SceneOptimiser
    from inverse_graphics.optimisation.settings import OptimiseSettings

EXAMPLES = """\
inverse-graphics optimise table.png --out found/
inverse-graphics optimise table.png --restarts 4 --steps 300 --seed 1 --out found/
inverse-graphics optimise images/ --start network --json - | jq .log_likelihood
inverse-graphics optimise table.png --engine open3d --restarts 2 --workers 2
inverse-graphics optimise cube.png --family single_object --out found/
inverse-graphics optimise table.png --family table_top --pack my_pack/ --out found/
inverse-graphics optimise table.png --exchanges 0 --restarts 16"""


def optimise(
    images: Images,
    model: Annotated[
        str | None, named("NAME|DIR", "The 3D model that defines the scenes; default table_top.")
    ] = None,
    family: Annotated[
        str | None, named("NAME|FILE", "Search the scenes of a family instead, without a model.")
    ] = None,
    start: Annotated[
        Literal["prior", "network"],
        typer.Option(help="Start from scenes sampled from the prior, or from the network's prediction."),
    ] = "prior",
    restarts: Annotated[int | None, number("Restarts per image from the prior; default 16.", 1, 1024)] = None,
    steps: Annotated[
        int | None, number("Gradient steps; default 150 from the prior, 60 from the network.", 0, 100_000)
    ] = None,
    exchanges: Annotated[
        int | None,
        number("Position proposals, besides those of kind and orientation; 0: gradients only.", 0, 4096),
    ] = None,
    engine: Annotated[
        str, named("NAME", "The render engine; one without gradients uses finite differences.")
    ] = "embedded",
    workers: Annotated[int, number("Number of processes that render finite differences.", 0, 256)] = 0,
    sigma: Annotated[
        float | None,
        number(
            "With --family: standard deviation of the pixel noise, pixels in [0, 1]; default 0.05.",
            0.001,
            1,
            metavar="GREY",
        ),
    ] = None,
    out: Annotated[
        Path | None, named("DIR", "Folder for a scene file, an image and an animation per input image.")
    ] = None,
    device: Device = "cpu",
    packs: Packs = None,
    json: JsonLines = None,
    seed: Seed = 0,
) -> None:
    """Fit a scene to an image by search through a renderer, from the prior or from a network's prediction.

    Gradient steps optimise the poses of objects and camera; discrete proposals change an object's kind,
    rotate it, remove it, or move it elsewhere. The restart with the greatest log p(image, scene) is returned.

    An image that cannot be read is reported on stderr, the others are still processed, and the exit status
    is 1.
    """
    from inverse_graphics.io.images import expand_images
    from inverse_graphics.optimisation.optimiser import DEFAULT_MODEL, SIGMA, SceneOptimiser
    from inverse_graphics.optimisation.settings import settings_from

    _check(model, family, start, restarts, sigma)
    readable = ReadableImages(expand_images(images))
    own = loaded_packs(packs)
    if family is None:
        optimiser = SceneOptimiser.from_model(model or DEFAULT_MODEL, engine, workers, device, own)
    else:
        optimiser = SceneOptimiser.from_family(family, engine, workers, sigma or SIGMA, device, own)
    with optimiser:
        settings = settings_from(start, restarts, steps, exchanges)
        _optimise_all(optimiser, readable, start, settings, out, json, seed)
    readable.exit_if_failed()


def _check(
    model: str | None, family: str | None, start: str, restarts: int | None, sigma: float | None
) -> None:
    if model and family:
        raise typer.BadParameter("give either --model or --family: a model has its own family")
    if start == "network" and family:
        raise ModelError(f"scene family '{family}' has no network: omit --start network, or give --model")
    if start == "network" and restarts not in (None, 1):
        raise typer.BadParameter("the network gives one prediction: omit --restarts")
    if sigma is not None and family is None:
        raise typer.BadParameter("a model defines the noise of its images: omit --sigma")


def _optimise_all(
    optimiser: SceneOptimiser,
    images: ReadableImages,
    start: Literal["prior", "network"],
    settings: OptimiseSettings,
    out: Path | None,
    json: str | None,
    seed: int,
) -> None:
    import torch

    from inverse_graphics.visualisation.parse_table import SearchLines
    from inverse_graphics.visualisation.search_images import SearchFolder

    with ExitStack() as stack:
        file = stack.enter_context(json_lines(json) if json else nullcontext())
        folder = SearchFolder(out) if out else None
        lines = SearchLines([str(path) for path in images.paths]) if json != STDOUT else None
        if lines:
            console().print(lines.header(), style="bold", soft_wrap=True)
        for path, image in images:
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
    if out and images.failed < len(images.paths):
        notify(f"wrote {out}")


def _record(
    found: OptimiseResult, engine: str, start: str, settings: OptimiseSettings, seconds: float
) -> dict[str, Any]:
    parse = found.parse.to_json()
    del parse["count_probabilities"], parse["warning"]  # a search has neither
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
