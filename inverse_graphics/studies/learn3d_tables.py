"""Tables of a study of the 3D model: medians over seeds, every seed, confusion matrices, missing runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from inverse_graphics.models.air3d.supervised import SupervisedSettings
from inverse_graphics.studies.counting_plots import pooled
from inverse_graphics.studies.records import Record, by_variant, evaluated, markdown_table
from inverse_graphics.training.recipe import Recipe


@dataclass(frozen=True)
class VariantRow:
    """Results of a variant: medians over its finished seeds, None if there are none.

    Attributes:
        variant: name of the variant.
        labels: whether it is trained with labels.
        seeds: finished seeds, of all.
        images_per_second: training throughput.
        minutes: training time.
        count_accuracy: held-out count accuracy.
        worst_count_accuracy: smallest count accuracy of any seed.
        identity_of_all: share of all true objects that are matched by an object of the correct kind.
        position_error_m: median position error of matched objects, metres.
        log_likelihood: mean log-likelihood per image, nats.
        log_evidence_bound: mean importance-weighted bound per image, nats.
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
    """A column of a table of finished runs.

    Attributes:
        title: heading.
        value: gives the figure of a run, None if unknown.
        text: formats the figure.
    """

    title: str
    value: Callable[[Record], float | None]
    text: Callable[[float], str]


def with_labels(recipe: Recipe) -> bool:
    """Whether a recipe's objective needs the labels of its images."""
    return isinstance(getattr(recipe, "objective", None), SupervisedSettings)


def figure(name: str) -> Callable[[Record], float | None]:
    """Make a function that reads a scene metric of a run."""
    return lambda record: record["evaluation"]["figures"].get(name, {}).get("value")


def nats(name: str) -> Callable[[Record], float | None]:
    """Make a function that reads a mean log-likelihood of a run."""
    return lambda record: record["evaluation"][name]["value"]


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"


def _whole(value: float) -> str:
    return f"{value:,.0f}".replace("-", "−")


COLUMNS = (
    Column("count accuracy", figure("count_accuracy"), _share),
    Column("correct kind, of all true objects", figure("identity_of_all"), _share),
    Column("recall", figure("recall"), _share),
    Column("precision", figure("precision"), _share),
    Column("position error, median", figure("position_error_m_median"), lambda m: f"{1000 * m:.1f} mm"),
    Column("log-likelihood", nats("log_likelihood"), _whole),
    Column("bound on log p(x)", nats("log_evidence_bound"), _whole),
    Column("minutes", lambda record: record["seconds"] / 60, lambda m: f"{m:.1f}"),
    Column("images/s", lambda record: record["images_per_second"], _whole),
)
POSES = 5
"""Index in `COLUMNS` at which columns of rotation and camera errors are inserted."""
_ROTATION = re.compile("rotation_error_deg(_visible)?/(.*)_p90")
CAMERA = Column(
    "camera direction error, median", figure("camera_direction_error_deg_median"), lambda d: f"{d:.2f}°"
)


def variant_rows(records: Sequence[Record]) -> list[VariantRow]:
    """Build one row per variant, in the order of the records."""
    return [_row(own) for own in by_variant(records).values()]


def summarise(records: Sequence[Record], command: str) -> str:
    """Write the tables as Markdown, with variants trained on labels in a separate table."""
    parts = ["# How the 3D model learns\n", f"`{command}`\n", _conditions(records)]
    for labels, title in ((False, "Without labels"), (True, "With labels, for comparison")):
        own = [record for record in records if record["with_labels"] is labels]
        if own:
            parts += [f"## {title}\n", _medians(own), _seeds(own)]
    done = evaluated(records)
    if done:
        parts += ["## Counts\n", _confusions(done), "![true against inferred counts](confusions.png)\n"]
    parts += ["## Curves\n", "![learning curves](curves.svg)\n", _changes(records)]
    if unfinished := [record for record in records if not record["evaluation"]]:
        parts += ["## Unfinished runs\n", _unfinished(unfinished)]
    return "\n".join(parts)


def _row(own: Sequence[Record]) -> VariantRow:
    finished = evaluated(own)

    def median_of(value: Callable[[Record], float | None]) -> float | None:
        return _median([value(record) for record in finished])

    accuracies = [value for r in finished if (value := figure("count_accuracy")(r)) is not None]
    return VariantRow(
        variant=own[0]["variant"],
        labels=own[0]["with_labels"],
        seeds=f"{len(finished)} of {len(own)}",
        images_per_second=median_of(lambda record: record["images_per_second"]),
        minutes=median_of(lambda record: record["seconds"] / 60),
        count_accuracy=median_of(figure("count_accuracy")),
        worst_count_accuracy=min(accuracies, default=None),
        identity_of_all=median_of(figure("identity_of_all")),
        position_error_m=median_of(figure("position_error_m_median")),
        log_likelihood=median_of(nats("log_likelihood")),
        log_evidence_bound=median_of(nats("log_evidence_bound")),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _conditions(records: Sequence[Record]) -> str:
    recipe = records[0]["recipe"]
    evaluation = next((record["evaluation"] for record in evaluated(records)), None)
    lines = f"Recipe {recipe['name']}, {recipe['steps']:,} steps of {recipe['batch_size']} images."
    if evaluation is None:
        return lines + "\n"
    objects = evaluation["figures"]["identity_of_all"]["denominator"]
    truth = _whole(evaluation["log_likelihood_of_truth"]["value"])
    near = f"{1000 * evaluation['match_distance_m']:g} mm"
    return (
        f"{lines} Evaluated on {evaluation['images']:,} held-out images with noise of "
        f"σ = {evaluation['sigma']:g}, {objects:,} objects. A true object is matched with an inferred one "
        f"within {near}; position errors are those of matched objects, rotation errors those of matched "
        f"objects of the correct kind. Nats are means over the images; the true scenes' log-likelihood is "
        f"{truth}.\n"
    )


def _columns(records: Sequence[Record]) -> list[Column]:
    """Select columns: `COLUMNS`, rotation errors of kinds with an orientation, the camera if it varies."""
    done = evaluated(records)
    names = dict.fromkeys(name for record in done for name in record["evaluation"]["figures"])
    rotations = [name for name in names if _ROTATION.fullmatch(name) and any(figure(name)(r) for r in done)]
    own = [_rotation(name) for name in rotations]
    camera = [CAMERA] if any(CAMERA.value(record) for record in done) else []
    return [*COLUMNS[:POSES], *own, *camera, *COLUMNS[POSES:]]


def _rotation(name: str) -> Column:
    """The column of a median rotation error, by the name of its 90th percentile."""
    seen, kind = _ROTATION.fullmatch(name).groups()  # type: ignore[union-attr]
    title = f"rotation error of {'visible ' if seen else ''}{kind.rpartition('/')[2]}, median"
    return Column(title, figure(name.removesuffix("_p90") + "_median"), lambda degrees: f"{degrees:.1f}°")


def _medians(own: Sequence[Record]) -> str:
    """Table with a row per variant: the median over seeds, and the range in parentheses."""
    columns = _columns(own)
    rows = []
    for name, group in by_variant(own).items():
        finished = evaluated(group)
        if finished:
            rows.append([name, str(len(finished)), *(_spread(c, finished) for c in columns)])
    if not rows:
        return "No run is finished.\n"
    return _table(["median over seeds (range)", "seeds", *(c.title for c in columns)], rows)


def _spread(column: Column, finished: Sequence[Record]) -> str:
    values = [value for record in finished if (value := column.value(record)) is not None]
    if not values:
        return "–"
    middle = column.text(median(values))
    return (
        middle if len(values) == 1 else f"{middle} ({column.text(min(values))} – {column.text(max(values))})"
    )


def _seeds(own: Sequence[Record]) -> str:
    columns = _columns(own)
    finished = evaluated(own)
    if len(finished) < 2:
        return ""
    rows = [[f"{r['variant']}, seed {r['seed']}", *(_spread(c, [r]) for c in columns)] for r in finished]
    return _table(["run", *(c.title for c in columns)], rows)


def _confusions(done: Sequence[Record]) -> str:
    """Tables of inferred by true counts, summed over the seeds of each variant."""
    rows, most = [], 0
    for name, group in by_variant(done).items():
        matrix = pooled([record["evaluation"]["count_confusion_true_by_inferred"] for record in group])
        most = max(most, len(matrix))
        rows += [[name, str(true), *(f"{number:,}" for number in row)] for true, row in enumerate(matrix)]
    padded = [row + [""] * (most + 2 - len(row)) for row in rows]
    return _table(["images, all seeds", "true count", *(f"inferred {n}" for n in range(most))], padded)


def _changes(records: Sequence[Record]) -> str:
    rows = [
        [name, ", ".join(f"`{o}`" for o in own[0]["overrides"])] for name, own in by_variant(records).items()
    ]
    return _table(["variant", "changes of the recipe"], rows)


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
    return "\n".join(markdown_table(head, rows)) + "\n"
