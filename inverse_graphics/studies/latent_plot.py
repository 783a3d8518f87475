"""Gradient variance by number of latents, as a picture and as tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from math import nan
from pathlib import Path
from statistics import geometric_mean, mean

from inverse_graphics.studies.latents import RELAXED, SCORE, LatentSpread
from inverse_graphics.studies.thinking_plot import new_figure

COLOURS = {SCORE: "#2a9d8f", RELAXED: "#c8553d"}


def variances(spreads: Sequence[LatentSpread], stage: str, latents: int, estimator: str) -> list[float]:
    """One for each seed."""
    return [s.variance for s in spreads if s[:3] == (stage, latents, estimator)]


def mean_variance(values: Sequence[float]) -> float:
    """The geometric mean; 0 where one of them is."""
    return geometric_mean(values) if all(value > 0 for value in values) else 0.0


def variance_ratio(spreads: Sequence[LatentSpread], stage: str, latents: int) -> float | None:
    """The score function's variance over that of relaxed draws, geometric mean over seeds.

    None where one of them is nothing, as where all halting probabilities are held at δ or 1 − δ.
    """
    score, relaxed = (mean_variance(variances(spreads, stage, latents, name)) for name in (SCORE, RELAXED))
    return score / relaxed if score and relaxed else None


def latent_table(spreads: Sequence[LatentSpread]) -> list[str]:
    """Markdown lines: a row for each number of latents and stage."""
    lines = [
        "| stage | latents | score function | relaxed | ratio | squared mean, score function | relaxed |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage, latents in dict.fromkeys((s.stage, s.latents) for s in spreads):
        noise = [mean_variance(variances(spreads, stage, latents, name)) for name in (SCORE, RELAXED)]
        squares = [
            mean(s.square for s in spreads if s[:3] == (stage, latents, name)) for name in (SCORE, RELAXED)
        ]
        cells = [f"{value:.2g}" for value in squares]
        ratio = variance_ratio(spreads, stage, latents)
        told = f" {ratio:,.0f} " if ratio else " "
        lines.append(
            f"| {stage} | {latents:,} | {noise[0]:.2g} | {noise[1]:.2g} |{told}| {cells[0]} | {cells[1]} |"
        )
    return lines


def latent_csv(seeds: Sequence[int], spreads: Sequence[Sequence[LatentSpread]]) -> str:
    """One line for each seed, stage, number of latents and estimator."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["seed", *LatentSpread._fields])
    for seed, found in zip(seeds, spreads, strict=True):
        table.writerows([seed, *one] for one in found)
    return text.getvalue()


def plot_latents(spreads: Sequence[LatentSpread], out: Path) -> None:
    """Draw gradients.png and .svg: variance against latents, a panel for each stage; dots are seeds.

    Raises:
        StorageError: a file cannot be written.
    """
    stages = list(dict.fromkeys(s.stage for s in spreads))
    with new_figure(out / "gradients", 3.2 * len(stages) + 0.4, 3.0) as figure:
        panels = figure.subplots(1, len(stages), squeeze=False, sharex=True, sharey=True)[0]
        for axes, stage in zip(panels, stages, strict=True):
            for name, colour in COLOURS.items():
                dots = [s for s in spreads if (s.stage, s.estimator) == (stage, name) and s.variance > 0]
                told = sorted({s.latents for s in dots})
                means = [mean_variance(variances(spreads, stage, n, name)) or nan for n in told]
                axes.plot(told, means, color=colour, linewidth=1.4, label=name)
                axes.plot(
                    [s.latents for s in dots], [s.variance for s in dots], "o", color=colour, markersize=4
                )
            latents = sorted({s.latents for s in spreads})
            axes.set(xscale="log", yscale="log", xlabel="latents of an image", title=f"{stage} of training")
            axes.set_xticks(latents, [f"{n:,}" for n in latents])
            axes.minorticks_off()
            axes.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("variance of the halting gradient, nats²")
        panels[-1].legend(frameon=False, loc="best")
