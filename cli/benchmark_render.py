"""`inverse-graphics benchmark render|render-fuzz|render-gradients`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from inverse_graphics.errors import EngineError

from .application import report
from .options import Json, Plot, Seed, Size, named, number, parsed_size
from .streams import STDOUT, advancing, say

EXAMPLES = """\
inverse-graphics benchmark render
inverse-graphics benchmark render --engine all --size 64x64 --size 256x256 --json figures.json
inverse-graphics benchmark render --faces 100 --faces 10000 --objects 1 --objects 8 --batch 16
inverse-graphics benchmark render --sweep faces --sweep covered --plot growth.svg
inverse-graphics benchmark render --device cuda --batch 512"""

FUZZ_EXAMPLES = """\
inverse-graphics benchmark render-fuzz
inverse-graphics benchmark render-fuzz --scenes 100000 --json -"""


class Sweep(StrEnum):
    """What a sweep varies: names in `benchmarks.render_sweeps.SWEEPS`."""

    FACES = "faces"
    OBJECTS = "objects"
    COVERED = "covered"
    PIXELS = "pixels"


GRADIENT_EXAMPLES = """\
inverse-graphics benchmark render-gradients
inverse-graphics benchmark render-gradients --engine all --supersample 1 --scenes 24 --json -"""


Engines = Annotated[
    list[str] | None,
    named("NAME", "The render engine, or `all` that work here; may be given again."),
]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="Where the engine works.")]


def render(
    engine: Engines = None,
    size: Annotated[list[str] | None, named("WxH", "Pixels, 64x64 if not given; may be given again.")] = None,
    batch: Annotated[
        list[int] | None, number("Scenes at once, 64 if not given; may be given again.", 1, 65536)
    ] = None,
    faces: Annotated[
        list[int] | None, number("Balls of so many faces instead of crockery; again.", 6, 1_000_000)
    ] = None,
    objects: Annotated[list[int] | None, number("Objects in a scene, 3 if not given; again.", 1, 64)] = None,
    sweep: Annotated[
        list[Sweep] | None,
        typer.Option(help="Vary one thing in several steps instead, and fit how the cost grows; again."),
    ] = None,
    plot: Plot = None,
    device: Device = "cpu",
    seconds: Annotated[float, number("How long each figure is measured.", 0.01, 600, metavar="S")] = 2.0,
    json: Json = None,
) -> None:
    """Measure how many scenes an engine renders in a second, without and with gradients.

    Colour, depth, alpha and mask, composited over a table. Sweeps, which --plot draws, all four if none is
    named, render balls that cover a known number of pixels, in batches of 8 unless --batch is given;
    "pixels" enlarges the image alone.
    """
    from inverse_graphics.benchmarks.render import OBJECTS, benchmark_render

    _check_device(device)
    engines = _engines(engine)
    if sweep or plot:
        if size or faces or objects:
            raise typer.BadParameter("a sweep chooses --size, --faces and --objects: leave them out")
        return _sweep(
            [each.value for each in dict.fromkeys(sweep or ())],
            engines,
            (batch or [8])[0],
            device,
            seconds,
            plot,
            json,
        )
    sizes = [(height, width) for width, height in map(parsed_size, size or ["64x64"])]
    rows = benchmark_render(
        engines, sizes, batch or [64], device, seconds, faces or [None], objects or [OBJECTS], progress=say
    )
    return report(list(rows), json)


def render_fuzz(
    scenes: Annotated[int, number("How many scenes.", 1)] = 10_000,
    engine: Engines = None,
    size: Size = "32x32",
    seed: Seed = 0,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Render extreme random scenes, and count values and gradients that are not finite.

    Objects and cameras a micrometre to a million metres away and inside each other, scales from 0 up, any
    focal length. The exit status is 1 if any value is not finite; the seeds of such scenes are printed.
    """
    from inverse_graphics.benchmarks.render_fuzz import fuzz, fuzz_library
    from inverse_graphics.rendering.engines import make_engine

    _check_device(device)
    width, height = parsed_size(size)
    results, library = [], fuzz_library()
    for name in _engines(engine):
        with advancing(name, scenes) as advance:
            engine_of_name = make_engine(name, library)
            results.append(fuzz(engine_of_name, library, scenes, height, width, seed, device, advance))
    report(results, json)
    for result in results:
        result.check()


def render_gradients(
    scenes: Annotated[int, number("How many scenes.", 1, 1000)] = 48,
    engine: Engines = None,
    supersample: Annotated[
        list[int] | None, number("Samples a pixel along each side: 1, 2, 3; again.", 1, 16)
    ] = None,
    size: Size = "64x64",
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Compare gradients with finite differences of half a pixel: how often their signs agree.

    One and three objects of crockery on a table; the image is blurred by a pixel, the differences are taken
    with many samples a pixel.
    """
    from inverse_graphics.benchmarks.gradients import benchmark_gradients

    width, height = parsed_size(size)
    factors = supersample or [1, 2, 3]
    rows = benchmark_gradients(
        _engines(engine), factors, ((height, width),), scenes=scenes, seed=seed, progress=say
    )
    report(list(rows), json)


def _sweep(
    varied: list[str],
    engines: list[str],
    batch: int,
    device: str,
    seconds: float,
    plot: Path | None,
    json: str | None,
) -> None:
    from inverse_graphics.benchmarks.render_sweeps import (
        SWEEPS,
        benchmark_sweeps,
        check_plot_name,
        growth_rows,
        plot_sweeps,
    )

    if plot:
        check_plot_name(plot)
    rows = list(benchmark_sweeps(varied or list(SWEEPS), engines, batch, device, seconds, progress=say))
    report(rows, json)
    if json != STDOUT:
        report(list(growth_rows(rows)), None)
    if plot:
        plot_sweeps(rows, plot)
        say(f"wrote {plot}")


def _engines(names: list[str] | None) -> list[str]:
    from inverse_graphics.benchmarks.render import working_engines
    from inverse_graphics.rendering.engines import DEFAULT_ENGINE

    chosen = [
        one for name in names or [DEFAULT_ENGINE] for one in (working_engines() if name == "all" else (name,))
    ]
    return list(dict.fromkeys(chosen))


def _check_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            "no GPU that torch can use: choose --device cpu; `inverse-graphics doctor` says more"
        )
