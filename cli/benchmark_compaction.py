"""`inverse-graphics benchmark compaction`."""

from __future__ import annotations

from typing import Annotated

import typer

from .figures import Json, report

COMPACTION_EXAMPLES = """\
inverse-graphics benchmark compaction
inverse-graphics benchmark compaction --units 18 --shares 0.5,0.25,0.1 --json figures.json"""


def compaction(
    units: Annotated[
        int, typer.Option(metavar="N", min=2, max=100, help="Of each block: 5 for ResNet-32, 18 for -110.")
    ] = 5,
    batch: Annotated[int, typer.Option(metavar="N", min=1, max=4096, help="Images at once.")] = 32,
    shares: Annotated[
        str, typer.Option(metavar="X,X,…", help="What stays alive after the first unit of each block.")
    ] = "0.5,0.4,0.3,0.2,0.1,0.02",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which weights, images and positions.")] = 0,
    json: Json = None,
) -> None:
    """Time a residual network that skips what has halted against one that masks it, on 32×32 pixels.

    One thread. Positions that stay alive lie in blobs, or scattered, which is the worst case.
    """
    import torch

    from inverse_graphics.report.compaction_benchmark import benchmark_compaction

    torch.set_num_threads(1)
    report(list(benchmark_compaction(units, batch, _parsed(shares), ("blobs", "scattered"), seed)), json)


def _parsed(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1.0]
    if not all(0 < number <= 1 for number in numbers):
        raise typer.BadParameter(
            f"got {text!r}, expected shares up to 1 such as 0.5,0.1", param_hint="--shares"
        )
    return numbers
