import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.scene.scene_file import read_scene
from inverse_graphics.visualisation.asset_facts import facts_of_pack
from inverse_graphics.visualisation.scene_picture import RenderedScene, render_scene, with_size

sides = st.integers(1, 4096)


@given(sides, sides, st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(0.2, 3))
def test_another_size_keeps_the_height_of_the_view_and_square_pixels(width, height, x, y, z):
    """A point at the same relative height above the centre stays there; sideways, pixels stay square."""
    old = read_scene("breakfast").camera
    new = with_size(read_scene("breakfast"), width, height).camera
    assert (new.width_px, new.height_px) == (width, height)
    u_old, v_old, _ = np.array(old.K) @ (x / z, y / z, 1)
    u_new, v_new, _ = np.array(new.K) @ (x / z, y / z, 1)
    scale = height / old.height_px
    np.testing.assert_allclose(v_new, v_old * scale, atol=1e-6)
    np.testing.assert_allclose(u_new - width / 2, (u_old - old.width_px / 2) * scale, atol=1e-6)
    assert new.T_world_camera == old.T_world_camera


def test_the_same_size_changes_nothing():
    scene = read_scene("calibrated")
    assert with_size(scene, scene.camera.width_px, scene.camera.height_px) == scene


def test_a_mask_is_summed_up_by_object():
    mask = np.zeros((6, 8), np.int64)
    mask[1:3, 2:7] = 3
    mask[5, 5] = 1
    blank = np.zeros((6, 8), np.float32)
    drawn = RenderedScene("s", np.stack([blank] * 3, -1), blank, mask, ("a", "b", "c"))
    assert drawn.visible_pixels() == [1, 0, 10]
    assert [drawn.box(number) for number in (1, 2, 3)] == [(5, 5, 1, 1), None, (2, 1, 5, 2)]


def test_a_scene_without_objects_is_drawn():
    scene = with_size(read_scene("single_mug"), 24, 16).model_copy(update={"objects": ()})
    drawn = render_scene(scene, "empty")
    assert drawn.picture.shape == (16, 24, 3)
    assert not drawn.mask.any()
    assert np.isfinite(drawn.depth).any()


def test_a_picture_that_would_not_fit_into_memory_is_refused():
    with pytest.raises(EngineError, match="objects at 4096x4096 pixels are too much"):
        render_scene(with_size(read_scene("crowded"), 4096, 4096), "large")


def test_supersampling_is_nearer_to_a_picture_of_very_many_samples():
    scene = with_size(read_scene("breakfast"), 48, 36)
    plain, twice, best = (render_scene(scene, "s", supersample=n).picture for n in (1, 2, 8))
    assert np.abs(twice - best).mean() < 0.7 * np.abs(plain - best).mean()
    with pytest.raises(EngineError, match="2x2 samples each, are too much"):
        render_scene(with_size(read_scene("crowded"), 2400, 2400), "large", supersample=2)


def test_facts_of_a_pack_tell_sizes_and_symmetries():
    facts = {fact.asset: fact for fact in facts_of_pack(load_pack("primitives"))}
    assert facts["primitives/cube"].faces == 12
    np.testing.assert_allclose(facts["primitives/cube"].size_m, 0.1, atol=1e-6)
    assert facts["primitives/cube"].symmetry == "24 rotations"
    assert facts["primitives/sphere"].symmetry == "any rotation"
    assert facts["primitives/cylinder"].surface.startswith("texture of ")
