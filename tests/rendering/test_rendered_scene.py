import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverse_graphics.errors import EngineError, SceneError
from inverse_graphics.io.images import read_image
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.rendered_scene import RenderedScene, with_size
from inverse_graphics.rendering.rendered_scene import render as render_scene
from inverse_graphics.scene.scene_file import load_scene, save_scene

sides = st.integers(1, 4096)


@given(sides, sides, st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(0.2, 3))
def test_another_size_keeps_the_height_of_the_view_and_square_pixels(width, height, x, y, z):
    """A point at the same relative height above the centre stays there; sideways, pixels stay square."""
    old = load_scene("breakfast").camera
    new = with_size(load_scene("breakfast"), width, height).camera
    assert (new.width_px, new.height_px) == (width, height)
    u_old, v_old, _ = np.array(old.K) @ (x / z, y / z, 1)
    u_new, v_new, _ = np.array(new.K) @ (x / z, y / z, 1)
    scale = height / old.height_px
    np.testing.assert_allclose(v_new, v_old * scale, atol=1e-6)
    np.testing.assert_allclose(u_new - width / 2, (u_old - old.width_px / 2) * scale, atol=1e-6)
    assert new.T_world_camera == old.T_world_camera


def test_the_same_size_changes_nothing():
    scene = load_scene("calibrated")
    assert with_size(scene, scene.camera.width_px, scene.camera.height_px) == scene


def test_a_mask_is_summed_up_by_object():
    mask = np.zeros((6, 8), np.int64)
    mask[1:3, 2:7] = 3
    mask[5, 5] = 1
    blank = np.zeros((6, 8), np.float32)
    drawn = RenderedScene(load_scene("breakfast"), np.stack([blank] * 3, -1), blank, mask)
    assert drawn.visible_pixels() == [1, 0, 10, *[0] * (len(drawn.scene.objects) - 3)]
    assert [drawn.box(number) for number in (1, 2, 3)] == [(5, 5, 1, 1), None, (2, 1, 5, 2)]


def test_a_scene_without_objects_is_drawn():
    drawn = render_scene(load_scene("single_mug").model_copy(update={"objects": ()}), size=(24, 16))
    assert drawn.image.shape == (16, 24, 3)
    assert not drawn.mask.any()
    assert np.isfinite(drawn.depth).any()


def test_a_picture_that_would_not_fit_into_memory_is_refused():
    with pytest.raises(EngineError, match="objects at 4096x4096 pixels are too much"):
        render_scene("crowded", size=(4096, 4096))


def test_supersampling_is_nearer_to_a_picture_of_very_many_samples():
    plain, twice, best = (
        render_scene("breakfast", size=(48, 36), supersample=samples).image for samples in (1, 2, 8)
    )
    assert np.abs(twice - best).mean() < 0.7 * np.abs(plain - best).mean()
    with pytest.raises(EngineError, match="2x2 samples each, are too much"):
        render_scene("crowded", size=(2400, 2400), supersample=2)


def test_a_name_a_path_and_a_scene_give_the_same_picture_and_it_is_saved(tmp_path):
    save_scene(load_scene("single_mug"), tmp_path / "mug.yaml")
    for name in ("single_mug", tmp_path / "mug.yaml", str(tmp_path / "mug.yaml")):
        by_name, by_scene = render_scene(name, size=(40, 30)), render_scene(load_scene(name), size=(40, 30))
        np.testing.assert_array_equal(by_name.image, by_scene.image)
        assert by_name.scene == by_scene.scene
    by_name.save(tmp_path / "mug.png")
    np.testing.assert_allclose(read_image(tmp_path / "mug.png"), by_name.image, atol=0.5 / 255 + 1e-6)


def test_an_engine_of_one_s_own_draws_the_scene():
    drawn = []

    class Recorded(EmbeddedEngine):
        def __init__(self, library: MeshLibrary) -> None:
            super().__init__(library)
            drawn.append(library.names)

    own = render_scene("single_mug", Recorded, size=(40, 30))
    np.testing.assert_array_equal(own.image, render_scene("single_mug", size=(40, 30)).image)
    assert drawn == [tuple(dict.fromkeys(placed.asset for placed in own.scene.objects))]


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (5000, 10)])
def test_a_size_that_no_picture_has_is_one_line(size):
    with pytest.raises(SceneError, match=rf"size {size[0]}x{size[1]}: (width|height)_px: .*got"):
        render_scene("single_mug", size=size)


def test_an_engine_that_is_not_there_and_a_scene_that_is_not_there_are_one_line_each():
    with pytest.raises(EngineError, match="unknown render engine 'blender'"):
        render_scene("single_mug", "blender")
    with pytest.raises(SceneError, match="no scene 'supper'"):
        render_scene("supper")
