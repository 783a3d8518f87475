"""Gradient variance by estimator and stage of training, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inverse_graphics.files import atomic_write
from inverse_graphics.studies.curve_plot import colours_of
from inverse_graphics.studies.gradient_variance import GradientSpread

FORMATS = ("png", "svg")


def gradient_table(spreads: Sequence[GradientSpread]) -> list[str]:
    """Markdown lines: a row for each estimator, a column for each stage."""
    stages = dict.fromkeys((one.stage, one.step) for one in spreads)
    of = {(one.estimator, one.stage): one for one in spreads}
    heads = [f"{stage}, step {step:,}" for stage, step in stages]
    lines = [
        "Variance of the gradient by the presence head's parameters, nats², mean over these; in brackets the "
        "square of the mean gradient, likewise:\n",
        f"| estimator | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
    ]
    for name in dict.fromkeys(one.estimator for one in spreads):
        cells = [of[name, stage] for stage, _ in stages]
        lines.append(f"| {name} | {' | '.join(f'{c.variance:.2g} ({c.square:.2g})' for c in cells)} |")
    return [*lines, ""]


def plot_gradients(spreads: Sequence[GradientSpread], folder: Path) -> None:
    """Draw gradients.png and .svg: variances on a logarithmic axis, a line for each estimator.

    Raises:
        StorageError: a file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(one.stage for one in spreads))
    names = list(dict.fromkeys(one.estimator for one in spreads))
    colours = colours_of(names)
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": "gradients", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6, 3.2), layout="constrained")
        axes = figure.subplots()
        for name in names:
            values = [one.variance for one in spreads if one.estimator == name]
            axes.plot(range(len(stages)), values, marker="o", markersize=4, color=colours[name], label=name)
        axes.set_yscale("log")
        axes.set_xticks(range(len(stages)), stages)
        axes.set(xlabel="stage of training", ylabel="variance, nats²")
        axes.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right center", frameon=False)
        for kind in FORMATS:
            metadata = {"Date": None} if kind == "svg" else None
            with atomic_write(folder / f"gradients.{kind}") as opened:
                figure.savefig(opened, format=kind, dpi=120, metadata=metadata)
