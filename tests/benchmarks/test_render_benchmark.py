from dataclasses import fields

import pytest

from inverse_graphics.benchmarks import render
from inverse_graphics.benchmarks.render import RenderRow, benchmark_render
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine

CONTRACT = [
    "engine", "device", "height", "width", "batch", "faces",
    "forward_scenes_per_second", "forward_backward_scenes_per_second",
]  # fmt: skip


def test_rows_hold_what_was_asked_for():
    messages: list[str] = []
    rows = list(
        benchmark_render(sizes=((8, 12), (16, 16)), batches=(1, 2), seconds=0.01, progress=messages.append)
    )
    assert [field.name for field in fields(RenderRow)][: len(CONTRACT)] == CONTRACT
    assert [(row.height, row.width, row.batch) for row in rows] == [
        (8, 12, 1), (8, 12, 2), (16, 16, 1), (16, 16, 2),
    ]  # fmt: skip
    assert len(messages) == 4
    for row in rows:
        assert (row.engine, row.device) == ("embedded", "cpu")
        assert row.faces >= 1000
        assert row.forward_scenes_per_second > 0
        assert row.forward_backward_scenes_per_second is not None
        assert row.forward_backward_scenes_per_second > 0


def test_faces_and_objects_are_what_was_asked_for_and_engines_draw_the_same():
    rows = list(
        benchmark_render(
            ("embedded", "embedded"), ((16, 16),), (2,), faces=(100, 1000), objects=(1, 4), seconds=0.001
        )
    )
    assert [row.objects for row in rows] == [1, 1, 4, 4] * 2
    for row, faces in zip(rows, [100, 100, 400, 400, 1000, 1000, 4000, 4000], strict=True):
        assert abs(row.faces / faces - 1) < 0.03
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        assert (one.covered, one.faces) == (other.covered, other.faces)


class WithoutGradients:
    """The embedded engine's layers, and no more."""

    name = "poor"
    differentiable = False

    def __init__(self, library: MeshLibrary) -> None:
        self.layers = EmbeddedEngine(library).layers


def test_engines_without_gradients_report_what_differences_cost(monkeypatch):
    """Twelve renderings and one; what is beyond them is no more than a share of them."""
    monkeypatch.setattr(render, "make_engine", lambda _, library: WithoutGradients(library))
    (row,) = benchmark_render(("poor",), ((16, 16),), (4,), seconds=0.05)
    assert row.forward_backward_scenes_per_second is None
    assert row.pose_gradients_per_second is not None
    assert row.overhead is not None
    assert row.overhead > 0
    assert row.pose_gradients_per_second == pytest.approx(row.forward_scenes_per_second / 13, rel=0.9)
