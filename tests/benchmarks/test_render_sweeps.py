"""Sweeps vary one thing and hold the rest; fits of growth find what was put in."""

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from inverse_graphics.benchmarks import render_sweeps
from inverse_graphics.benchmarks.render_sweeps import (
    SWEEPS,
    SweepRow,
    benchmark_sweeps,
    growth,
    growth_rows,
    plot_sweeps,
    quantities,
)
from inverse_graphics.benchmarks.scenes import RADIUS_M, ball_library, ball_mesh, ball_scenes
from inverse_graphics.errors import StorageError
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine


@pytest.mark.parametrize("faces", [10, 30, 100, 1000, 3000])
def test_a_ball_is_a_closed_surface_of_about_so_many_faces(faces):
    mesh = ball_mesh(faces)
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert shape.is_watertight
    assert shape.is_winding_consistent
    assert shape.volume > 0
    assert abs(len(mesh.faces) / faces - 1) <= 0.2
    assert shape.volume <= 4 / 3 * np.pi * RADIUS_M**3


@pytest.mark.parametrize("covered", [50, 400, 3000])
def test_balls_cover_as_many_pixels_as_they_should_in_any_picture(covered):
    library = ball_library(1000)
    for side in (80, 160):
        scenes = ball_scenes(4, side, side, 2, covered)
        alpha = EmbeddedEngine(library).layers(scenes.objects, scenes.camera, scenes.light).alpha
        torch.testing.assert_close(
            alpha.sum(dim=(2, 3)), torch.full((4, 2), float(covered)), rtol=0.05, atol=2
        )


def test_each_sweep_varies_its_own_quantity_alone():
    fields = {"faces": "faces", "objects": "objects", "covered": "covered", "pixels": "side"}
    for name, sweep in SWEEPS.items():
        for field in sweep[0]._fields:
            values = [getattr(setting, field) for setting in sweep]
            assert len(set(values)) == (len(values) if field == fields[name] else 1)
    assert [min(part) for part in (render_sweeps.FACES, render_sweeps.OBJECTS)] == [10, 1]
    assert [max(part) for part in (render_sweeps.FACES, render_sweeps.OBJECTS)] == [50_000, 16]


@given(st.floats(0, 1e-2), st.floats(1e-8, 1e-3), st.floats(1, 100))
def test_a_line_is_found_again(fixed, each, factor):
    x = factor * 2.0 ** np.arange(8)
    fitted = growth(x.tolist(), (fixed + each * x).tolist())
    np.testing.assert_allclose(fitted.fixed + fitted.each * x, fixed + each * x, rtol=1e-6)
    assert fitted.deviation < 1e-6
    assert 0 <= fitted.slope <= 1 + 1e-9


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_slope_is_the_power_and_what_is_no_line_deviates(power):
    x = 10.0 ** np.arange(1, 6)
    fitted = growth(x.tolist(), (3e-6 * x**power).tolist())
    assert fitted.slope == pytest.approx(power, abs=1e-9)
    assert (fitted.deviation > 0.1) == (power not in {0.0, 1.0})


def rows(varied="faces", engines=("embedded", "pytorch3d")):
    return [
        SweepRow(
            engine,
            "cpu",
            64,
            64,
            16,
            10**n,
            10.0 ** (5 - n),
            10.0 ** (4 - n),
            n,
            400,
            None,
            None,
            varied=varied,
            pixels=4096,
        )
        for engine in engines
        for n in range(1, 5)
    ]


def test_growth_is_fitted_for_each_engine_without_and_with_gradients():
    found = list(growth_rows(rows()))
    assert [(row.engine, row.of) for row in found] == [
        (engine, of) for engine in ("embedded", "pytorch3d") for of in ("forward", "forward and backward")
    ]
    for row, microseconds in zip(found, (10, 100) * 2, strict=True):
        assert row.slope == pytest.approx(1)
        assert row.microseconds_each == pytest.approx(microseconds)
        assert row.largest_deviation < 1e-6


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_sweeps_are_drawn_as_the_same_picture(tmp_path, kind):
    files = [tmp_path / f"{n}.{kind}" for n in (1, 2)]
    for file in files:
        plot_sweeps(rows() + rows("objects", ("embedded",)), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert 2000 < files[0].stat().st_size < 200_000


def test_another_kind_of_picture_is_refused(tmp_path):
    with pytest.raises(StorageError, match="expected a name ending in"):
        plot_sweeps(rows(), tmp_path / "sweeps.bmp")


def test_a_sweep_measures_what_it_says(monkeypatch):
    monkeypatch.setitem(SWEEPS, "objects", SWEEPS["objects"][:2])
    monkeypatch.setitem(SWEEPS, "pixels", SWEEPS["pixels"][:2])
    found = list(benchmark_sweeps(("objects", "pixels"), batch=2, seconds=0.001))
    assert quantities(found[:2]) == [1, 2]
    assert quantities(found[2:]) == [32 * 32, 64 * 64]
    assert found[0].faces * 2 == found[1].faces
    assert found[2].faces == found[3].faces
    assert found[2].covered == pytest.approx(found[3].covered, rel=0.02)
    assert all(row.forward_scenes_per_second > 0 for row in found)
