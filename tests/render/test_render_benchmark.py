from dataclasses import fields

from inverse_graphics.report.render_benchmark import RenderRow, benchmark_render

CONTRACT = [
    "engine", "device", "height", "width", "batch", "faces",
    "forward_scenes_per_second", "forward_backward_scenes_per_second",
]  # fmt: skip


def test_rows_hold_what_was_asked_for():
    said: list[str] = []
    rows = list(
        benchmark_render(sizes=((8, 12), (16, 16)), batches=(1, 2), seconds=0.01, progress=said.append)
    )
    assert [field.name for field in fields(RenderRow)][: len(CONTRACT)] == CONTRACT
    assert [(row.height, row.width, row.batch) for row in rows] == [
        (8, 12, 1), (8, 12, 2), (16, 16, 1), (16, 16, 2),
    ]  # fmt: skip
    assert len(said) == 4
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
