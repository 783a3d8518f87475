import pytest

from inverse_graphics.benchmarks.render_stages import profile_stages
from inverse_graphics.benchmarks.scenes import table_top_scenes
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.rendering.embedded.visibility_numba import STAGES


@pytest.fixture(scope="module")
def library():
    return load_pack("crockery").library()


def test_stages_make_up_most_of_the_time_of_a_picture(library):
    rows = profile_stages(table_top_scenes(24, 64, 64, library), library, repeats=9)
    times = dict(rows)
    whole = sum(times.values())
    assert set(STAGES) < set(times)
    assert whole > 0
    assert 0.5 * whole < whole - times["calls and allocation"] < 1.3 * whole
    for space, microseconds in rows[:-1]:
        assert microseconds > -0.05 * whole, space


def test_more_pixels_take_more_shading_and_the_same_transform(library):
    small, large = (
        dict(profile_stages(table_top_scenes(4, side, side, library), library, 9)) for side in (48, 192)
    )
    assert large["shading"] > 4 * small["shading"]
    assert large["backdrop"] > 4 * small["backdrop"]
    assert large["transform"] < 4 * small["transform"]
