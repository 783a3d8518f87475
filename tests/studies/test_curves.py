"""Curves: medians against NumPy, the CSV read back, images counted batch by batch; and their pictures."""

import csv

import numpy as np
import pytest
from PIL import Image

from inverse_graphics.studies.counting_plots import plot_confusions, pooled
from inverse_graphics.studies.curves import CurvePoint, median_curve, write_curves
from inverse_graphics.studies.learn3d_plot import Line, plot_curves
from inverse_graphics.studies.runs import images_seen
from inverse_graphics.training.recipe import load_recipe


def random_curves(seeds: int, points: int) -> list[list[CurvePoint]]:
    numbers = np.random.default_rng(0)
    return [
        [
            CurvePoint("a", seed, 10 * k, 640 * k, k * numbers.uniform(1, 2), {
                "count_accuracy": numbers.uniform(), "identity_of_all": numbers.uniform(),
                "position_error_m_median": numbers.uniform(0.001, 0.1), "log_likelihood": numbers.normal(),
            })
            for k in range(1, points + 1 - seed)
        ]
        for seed in range(seeds)
    ]  # fmt: skip


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_the_median_is_of_all_seeds_and_ends_with_the_first_of_them(seeds):
    curves = random_curves(seeds, 8)
    x, y = median_curve(curves, lambda p: p.seconds, "count_accuracy")
    shared = 8 - (seeds - 1)
    seconds = [[p.seconds for p in one[:shared]] for one in curves]
    values = [[p.metrics["count_accuracy"] for p in one[:shared]] for one in curves]
    np.testing.assert_allclose(x, np.median(seconds, axis=0))
    np.testing.assert_allclose(y, np.median(values, axis=0))


def test_points_without_the_metric_are_left_out():
    curves = random_curves(2, 4)
    del curves[1][1].metrics["log_likelihood"]
    assert median_curve(curves, lambda p: p.step, "log_likelihood")[0] == [10, 30]
    assert median_curve(curves, lambda p: p.step, "unheard_of") == ([], [])
    assert median_curve([], lambda p: p.step, "log_likelihood") == ([], [])


def test_the_table_holds_every_point(tmp_path):
    curves = random_curves(3, 5)
    del curves[0][0].metrics["log_likelihood"]
    write_curves(curves, tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    points = [point for one in curves for point in one]
    assert len(rows) == len(points)
    for row, point in zip(rows, points, strict=True):
        head = (row["variant"], int(row["seed"]), int(row["step"]), int(row["images"]), float(row["seconds"]))
        assert head == (point.variant, point.seed, point.step, point.images, point.seconds)
        known = {name: float(row[name]) for name in list(row)[5:] if row[name]}
        assert known == point.metrics


@pytest.mark.parametrize("kind", ["sleep", "wake_sleep", "elbo"])
def test_images_are_counted_as_if_one_batch_at_a_time(kind):
    own = ["objective.sleep_steps=3", "objective.wake_share=0.4"] if kind == "wake_sleep" else []
    recipe = load_recipe("table_top", [f"objective.kind={kind}", "batch_size=6", *own])
    seen = 0
    for step in range(7):
        assert images_seen(recipe, step) == seen
        seen += 6 + (2 if kind == "wake_sleep" and step >= 3 else 0)


@pytest.mark.parametrize("seeds", [1, 3])
def test_curves_are_drawn_the_same_each_time(tmp_path, seeds):
    lines = [Line("sleep", False, random_curves(seeds, 5)), Line("other/one", True, random_curves(1, 1))]
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        plot_curves(lines, tmp_path / name, 100, 2.5)
        written.append((tmp_path / name / "curves.svg").read_bytes())
        with Image.open(tmp_path / name / "curves.png") as picture:
            assert min(picture.size) > 500
    assert written[0] == written[1]
    for label in (f"sleep ({seeds} seed", "other/one (1 seed, with labels)", "true scenes"):
        assert label in written[0].decode()


def test_curves_of_which_nothing_is_known_are_drawn_all_the_same(tmp_path):
    blank = [CurvePoint("a", 0, 1, 1, 0.1, {}), CurvePoint("a", 0, 2, 2, 0.2, {"count_accuracy": 0.0})]
    plot_curves([Line("a", False, [blank]), Line("b", False, [[]])], tmp_path, 10)
    assert (tmp_path / "curves.png").is_file()


def test_confusion_matrices_are_added_up_whatever_their_size(tmp_path):
    numbers = np.random.default_rng(1)
    matrices = [numbers.integers(0, 99, (size, size)) for size in (2, 4, 3)]
    total = np.zeros((4, 4), int)
    for matrix in matrices:
        total[: len(matrix), : len(matrix)] += matrix
    assert pooled([matrix.tolist() for matrix in matrices]) == total.tolist()
    plot_confusions({f"v{k}": total.tolist() for k in range(7)}, tmp_path / "many")
    plot_confusions({"one": [[3]]}, tmp_path / "one")
    with Image.open(tmp_path / "many.png") as many, Image.open(tmp_path / "one.png") as one:
        assert many.size[0] > 3 * one.size[0]
        assert many.size[1] > 1.5 * one.size[1]
