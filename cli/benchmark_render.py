"""`inverse-graphics benchmark render|render-fuzz|render-gradients`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from inverse_graphics.errors import EngineError

from .application import report
from .options import Json, Plot, Seed, Size, named, number, parsed_size
from .streams import STDOUT, advancing, notify

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
    """The quantity that a sweep varies: a key of `benchmarks.render_sweeps.SWEEPS`."""

    FACES = "faces"
    OBJECTS = "objects"
    COVERED = "covered"
    PIXELS = "pixels"


GRADIENT_EXAMPLES = """\
inverse-graphics benchmark render-gradients
inverse-graphics benchmark render-gradients --engine all --supersample 1 --scenes 24 --json -"""


Engines = Annotated[
    list[str] | None,
    named("NAME", "The render engine, or `all` available ones; may be repeated."),
]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="The device to render on.")]


def render(
    engine: Engines = None,
    size: Annotated[
        list[str] | None, named("WxH", "Image size in pixels, default 64x64; may be repeated.")
    ] = None,
    batch: Annotated[list[int] | None, number("Batch size, default 64; may be repeated.", 1, 65536)] = None,
    faces: Annotated[
        list[int] | None,
        number(
            "Render spheres with this number of faces instead of crockery; may be repeated.", 6, 1_000_000
        ),
    ] = None,
    objects: Annotated[
        list[int] | None, number("Objects per scene, default 3; may be repeated.", 1, 64)
    ] = None,
    sweep: Annotated[
        list[Sweep] | None,
        typer.Option(help="Vary one quantity and fit how the cost grows with it; may be repeated."),
    ] = None,
    plot: Plot = None,
    device: Device = "cpu",
    seconds: Annotated[float, number("Measuring time per figure.", 0.01, 600, metavar="S")] = 2.0,
    json: Json = None,
) -> None:
    """Measure the number of scenes that an engine renders per second, without and with gradients.

    Renders colour, depth, alpha and mask, composited over a table. Sweeps render spheres that cover a known
    number of pixels, in batches of 8 unless --batch is given; the sweep "pixels" enlarges only the image.
    --plot draws the sweeps, all four if none is selected.
    """
    from inverse_graphics.benchmarks.render import OBJECTS, benchmark_render

    _check_device(device)
    engines = _engines(engine)
    if sweep or plot:
        if size or faces or objects:
            raise typer.BadParameter("a sweep sets --size, --faces and --objects: omit them")
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
        engines,
        sizes,
        batch or [64],
        device,
        seconds,
        faces or [None],
        objects or [OBJECTS],
        progress=notify,
    )
    return report(list(rows), json)


def render_fuzz(
    scenes: Annotated[int, number("Number of scenes.", 1)] = 10_000,
    engine: Engines = None,
    size: Size = "32x32",
    seed: Seed = 0,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Render extreme random scenes, and count the values and gradients that are not finite.

    Distances range from a micrometre to a million metres, objects and cameras may intersect, scales start
    at 0 and focal lengths are arbitrary. The exit status is 1 if any value is not finite; the seeds of such
    scenes are printed.
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
    scenes: Annotated[int, number("Number of scenes.", 1, 1000)] = 48,
    engine: Engines = None,
    supersample: Annotated[
        list[int] | None,
        number("Samples per pixel along each axis, default 1, 2 and 3; may be repeated.", 1, 16),
    ] = None,
    size: Size = "64x64",
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Compare gradients with finite differences of half a pixel, by the cosine between them.

    Scenes have one or three pieces of crockery on a table. Images are blurred by one pixel; the finite
    differences are computed from heavily supersampled images.
    """
    from inverse_graphics.benchmarks.gradients import benchmark_gradients

    width, height = parsed_size(size)
    factors = supersample or [1, 2, 3]
    rows = benchmark_gradients(
        _engines(engine), factors, ((height, width),), scenes=scenes, seed=seed, progress=notify
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
    rows = list(benchmark_sweeps(varied or list(SWEEPS), engines, batch, device, seconds, progress=notify))
    report(rows, json)
    if json != STDOUT:
        report(list(growth_rows(rows)), None)
    if plot:
        plot_sweeps(rows, plot)
        notify(f"wrote {plot}")


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
        raise EngineError("no GPU that torch can use: choose --device cpu; see `inverse-graphics doctor`")
