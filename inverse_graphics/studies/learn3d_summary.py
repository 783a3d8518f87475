"""What a study of the 3D model came to, in tables that can be pasted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from inverse_graphics.models.air3d.supervised import SupervisedSettings
from inverse_graphics.studies.count_plot import pooled
from inverse_graphics.training.recipe import Recipe

Record = dict[str, Any]
"""A run, as `results.json` has it."""


@dataclass(frozen=True)
class VariantRow:
    """A variant: medians over its finished seeds, None where there is none.

    labels: whether it was told the labels.  seeds: finished, of those begun.  worst_count_accuracy: of any
    seed.  identity_of_all: over all true objects.  position_error_m: median over the objects found.
    """

    variant: str
    labels: bool
    seeds: str
    images_per_second: float | None
    minutes: float | None
    count_accuracy: float | None
    worst_count_accuracy: float | None
    identity_of_all: float | None
    position_error_m: float | None
    log_likelihood: float | None
    log_evidence_bound: float | None


class Column(NamedTuple):
    """A figure of finished runs.  of: its value in a run, None if unknown."""

    title: str
    of: Callable[[Record], float | None]
    text: Callable[[float], str]


def with_labels(recipe: Recipe) -> bool:
    """Whether a recipe's objective is told the labels of its images."""
    return isinstance(getattr(recipe, "objective", None), SupervisedSettings)


def figure(name: str) -> Callable[[Record], float | None]:
    """Reads a figure of the metrics."""
    return lambda record: record["evaluation"]["figures"].get(name, {}).get("value")


def nats(name: str) -> Callable[[Record], float | None]:
    """Reads a mean over the images."""
    return lambda record: record["evaluation"][name]["value"]


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"


def _whole(value: float) -> str:
    return f"{value:,.0f}".replace("-", "−")


COLUMNS = (
    Column("count right", figure("count_accuracy"), _share),
    Column("identity right, of all true objects", figure("identity_of_all"), _share),
    Column("objects found", figure("recall"), _share),
    Column("seen objects that are there", figure("precision"), _share),
    Column("position error, median", figure("position_error_m_median"), lambda m: f"{1000 * m:.1f} mm"),
    Column("log-likelihood", nats("log_likelihood"), _whole),
    Column("bound on log p(x)", nats("log_evidence_bound"), _whole),
    Column("minutes", lambda record: record["seconds"] / 60, lambda m: f"{m:.1f}"),
    Column("images/s", lambda record: record["images_per_second"], _whole),
)
POSES = 5
"""Before the columns from this on stand those about rotations and the camera."""
_TURN = re.compile("rotation_error_deg(_visible)?/(.*)_p90")
CAMERA = Column(
    "camera direction error, median", figure("camera_direction_error_deg_median"), lambda d: f"{d:.2f}°"
)


def variant_rows(records: Sequence[Record]) -> list[VariantRow]:
    """One row for each variant, in the order in which they come."""
    return [_row(own) for own in by_variant(records).values()]


def by_variant(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Runs of the same variant together."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["variant"], []).append(record)
    return groups


def summarise(records: Sequence[Record], command: str) -> str:
    """The tables as Markdown; what was learnt with labels stands apart."""
    parts = ["# How the 3D model learns\n", f"`{command}`\n", _conditions(records)]
    for labels, title in ((False, "Without labels"), (True, "With labels, for comparison")):
        own = [record for record in records if record["with_labels"] is labels]
        if own:
            parts += [f"## {title}\n", _medians(own), _seeds(own)]
    judged = [record for record in records if record["evaluation"]]
    if judged:
        parts += ["## Counts\n", _confusions(judged), "![true against inferred counts](confusions.png)\n"]
    parts += ["## Curves\n", "![learning curves](curves.svg)\n", _changes(records)]
    if unfinished := [record for record in records if not record["evaluation"]]:
        parts += ["## Not in the tables\n", _unfinished(unfinished)]
    return "\n".join(parts)


def _row(own: Sequence[Record]) -> VariantRow:
    finished = [record for record in own if record["evaluation"]]

    def middle(of: Callable[[Record], float | None]) -> float | None:
        return _median([of(record) for record in finished])

    accuracies = [value for r in finished if (value := figure("count_accuracy")(r)) is not None]
    return VariantRow(
        variant=own[0]["variant"],
        labels=own[0]["with_labels"],
        seeds=f"{len(finished)} of {len(own)}",
        images_per_second=middle(lambda record: record["images_per_second"]),
        minutes=middle(lambda record: record["seconds"] / 60),
        count_accuracy=middle(figure("count_accuracy")),
        worst_count_accuracy=min(accuracies, default=None),
        identity_of_all=middle(figure("identity_of_all")),
        position_error_m=middle(figure("position_error_m_median")),
        log_likelihood=middle(nats("log_likelihood")),
        log_evidence_bound=middle(nats("log_evidence_bound")),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _conditions(records: Sequence[Record]) -> str:
    recipe = records[0]["recipe"]
    judged = next((record["evaluation"] for record in records if record["evaluation"]), None)
    lines = f"Recipe {recipe['name']}, {recipe['steps']:,} steps of {recipe['batch_size']} images."
    if judged is None:
        return lines + "\n"
    objects = judged["figures"]["identity_of_all"]["denominator"]
    truth = _whole(judged["log_likelihood_of_truth"]["value"])
    near = f"{1000 * judged['match_distance_m']:g} mm"
    return (
        f"{lines} Judged on {judged['images']:,} held-out images with noise of σ = {judged['sigma']:g}, "
        f"{objects:,} objects. An object is found if one was seen within {near}; "
        "positions are judged of objects found, rotations of those named right too. Nats are means over "
        f"the images; the true scenes' log-likelihood is {truth}.\n"
    )


def _columns(records: Sequence[Record]) -> list[Column]:
    """The usual ones, the rotation of each kind that can be seen to turn, and the camera if it moves."""
    judged = [record for record in records if record["evaluation"]]
    names = dict.fromkeys(name for record in judged for name in record["evaluation"]["figures"])
    turns = [name for name in names if _TURN.fullmatch(name) and any(figure(name)(r) for r in judged)]
    own = [_rotation(name) for name in turns]
    camera = [CAMERA] if any(CAMERA.of(record) for record in judged) else []
    return [*COLUMNS[:POSES], *own, *camera, *COLUMNS[POSES:]]


def _rotation(name: str) -> Column:
    """The median whose 90th percentile has this name."""
    seen, kind = _TURN.fullmatch(name).groups()  # type: ignore[union-attr]
    title = f"rotation error of {'visible ' if seen else ''}{kind.rpartition('/')[2]}, median"
    return Column(title, figure(name.removesuffix("_p90") + "_median"), lambda degrees: f"{degrees:.1f}°")


def _medians(own: Sequence[Record]) -> str:
    """A row for each variant: the median over seeds, and in brackets the worst and the best seed."""
    columns = _columns(own)
    rows = []
    for name, group in by_variant(own).items():
        finished = [record for record in group if record["evaluation"]]
        if finished:
            rows.append([name, str(len(finished)), *(_spread(c, finished) for c in columns)])
    if not rows:
        return "No run is finished.\n"
    return _table(["median over seeds (range)", "seeds", *(c.title for c in columns)], rows)


def _spread(column: Column, finished: Sequence[Record]) -> str:
    values = [value for record in finished if (value := column.of(record)) is not None]
    if not values:
        return "–"
    middle = column.text(median(values))
    return (
        middle if len(values) == 1 else f"{middle} ({column.text(min(values))} – {column.text(max(values))})"
    )


def _seeds(own: Sequence[Record]) -> str:
    columns = _columns(own)
    finished = [record for record in own if record["evaluation"]]
    if len(finished) < 2:
        return ""
    rows = [[f"{r['variant']}, seed {r['seed']}", *(_spread(c, [r]) for c in columns)] for r in finished]
    return _table(["run", *(c.title for c in columns)], rows)


def _confusions(judged: Sequence[Record]) -> str:
    """How many images of each true count had which inferred count, all seeds of a variant together."""
    rows, most = [], 0
    for name, group in by_variant(judged).items():
        matrix = pooled([record["evaluation"]["count_confusion_true_by_inferred"] for record in group])
        most = max(most, len(matrix))
        rows += [[name, str(true), *(f"{number:,}" for number in row)] for true, row in enumerate(matrix)]
    padded = [row + [""] * (most + 2 - len(row)) for row in rows]
    return _table(["images, all seeds", "true count", *(f"inferred {n}" for n in range(most))], padded)


def _changes(records: Sequence[Record]) -> str:
    rows = [
        [name, ", ".join(f"`{o}`" for o in own[0]["overrides"])] for name, own in by_variant(records).items()
    ]
    return _table(["variant", "what it changes of the recipe"], rows)


def _unfinished(records: Sequence[Record]) -> str:
    rows = [
        [
            f"{r['variant']}, seed {r['seed']}",
            f"{r['step']:,} of {r['steps']:,}",
            r["error"] or "not finished",
        ]
        for r in records
    ]
    return _table(["run", "evaluated at step", "why"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"
