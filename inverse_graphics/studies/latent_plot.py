"""Gradient variance by number of latents, as a picture and as tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean

from inverse_graphics.studies.latents import RELAXED, SCORE, LatentSpread
from inverse_graphics.studies.thinking_plot import new_figure

COLOURS = {SCORE: "#2a9d8f", RELAXED: "#c8553d"}


def variance_ratio(spreads: Sequence[LatentSpread], stage: str, latents: int) -> float:
    """The score function's variance over that of relaxed draws, geometric mean over seeds."""
    by = {
        name: [s.variance for s in spreads if (s.stage, s.latents, s.estimator) == (stage, latents, name)]
        for name in (SCORE, RELAXED)
    }
    return geometric_mean(a / b for a, b in zip(by[SCORE], by[RELAXED], strict=True))


def latent_table(spreads: Sequence[LatentSpread]) -> list[str]:
    """Markdown lines: a row for each number of latents and stage."""
    lines = [
        "| stage | latents | score function | relaxed | ratio | squared mean, score function | relaxed |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage, latents in dict.fromkeys((s.stage, s.latents) for s in spreads):
        here = {
            name: [s for s in spreads if (s.stage, s.latents, s.estimator) == (stage, latents, name)]
            for name in (SCORE, RELAXED)
        }
        variances = [geometric_mean(s.variance for s in here[name]) for name in (SCORE, RELAXED)]
        squares = [sum(s.square for s in here[name]) / len(here[name]) for name in (SCORE, RELAXED)]
        ratio = variance_ratio(spreads, stage, latents)
        cells = [f"{value:.2g}" for value in (*variances, ratio, *squares)]
        lines.append(f"| {stage} | {latents:,} | {' | '.join(cells)} |")
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
        panels = figure.subplots(1, len(stages), squeeze=False, sharey=True)[0]
        for axes, stage in zip(panels, stages, strict=True):
            for name, colour in COLOURS.items():
                dots = [s for s in spreads if (s.stage, s.estimator) == (stage, name)]
                latents = sorted({s.latents for s in dots})
                means = [geometric_mean(s.variance for s in dots if s.latents == n) for n in latents]
                axes.plot(latents, means, color=colour, linewidth=1.4, label=name)
                axes.plot(
                    [s.latents for s in dots], [s.variance for s in dots], "o", color=colour, markersize=4
                )
            axes.set(xscale="log", yscale="log", xlabel="latents of an image", title=f"{stage} of training")
            axes.set_xticks(latents, [f"{n:,}" for n in latents])
            axes.minorticks_off()
            axes.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("variance of the halting gradient, nats²")
        panels[-1].legend(frameon=False, loc="best")
