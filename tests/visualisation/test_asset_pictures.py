"""Pictures of objects are to scale, whole, and turn the way that they say."""

import numpy as np
import pytest
from PIL import Image

from inverse_graphics.packs.pack import RestingPose, load_pack
from inverse_graphics.visualisation.asset_pictures import AZIMUTH, ObjectView, write_contact_sheet

ON_ITS_SIDE = RestingPose(quaternion_xyzw=(0.0, 0.707107, 0.0, 0.707107), probability=1.0)


def red(picture):
    pixels = np.asarray(picture).astype(int)
    return (pixels[..., 0] > 2 * pixels[..., 1] + 10) & (pixels[..., 0] > 2 * pixels[..., 2] + 10)


@pytest.fixture(scope="module")
def cube():
    return load_pack("primitives").mesh("cube")


def test_rulers_hold_for_what_is_drawn(cube):
    view = ObjectView(cube, side=200)
    (picture,) = view.images([0.0])  # its front is seen as it is wide
    columns = np.flatnonzero(red(picture).any(axis=0))
    assert (columns[-1] + 1 - columns[0]) / view.pixels_per_cm() == pytest.approx(10, rel=0.03)


@pytest.mark.parametrize("azimuth", [0.0, 45.0, 170.0])
def test_the_whole_object_is_in_the_picture(cube, azimuth):
    (picture,) = ObjectView(cube, side=120).images([azimuth])
    seen = red(picture)
    assert seen.any()
    edges = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
    assert not edges.any()


def test_the_object_turns_and_its_axes_with_it():
    view = ObjectView(load_pack("crockery").mesh("mug"), side=100)
    front, quarter, again = view.images([AZIMUTH, AZIMUTH + 90, AZIMUTH + 360])
    assert front.tobytes() == again.tobytes()
    assert front.tobytes() != quarter.tobytes()
    origin, x = view.axes(0.0)["x"]  # towards the viewer: down
    assert x[1] > origin[1] + 5
    assert x[0] == pytest.approx(origin[0], abs=1)
    _, y = view.axes(0.0)["y"]  # to the right
    assert y[0] > origin[0] + 20
    _, z = view.axes(77.0)["z"]
    assert z[1] < origin[1] - 20


def test_a_pose_is_drawn_as_it_rests():
    glass = load_pack("crockery").mesh("glass")
    standing, lying = ObjectView(glass, side=100), ObjectView(glass, ON_ITS_SIDE, side=100)
    assert standing.images([0.0])[0].tobytes() != lying.images([0.0])[0].tobytes()
    origin, z = lying.axes(0.0)["z"]
    assert abs(z[1] - origin[1]) > 5
    assert z[1] > origin[1]  # towards the viewer


def test_a_contact_sheet_has_every_object_and_thumbnails(tmp_path):
    pack = load_pack("primitives")
    write_contact_sheet(pack, tmp_path / "sheet.png", tmp_path / "small")
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == [
        "cube.png", "cylinder.png", "sphere.png"
    ]  # fmt: skip
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[1] > 3 * 300
    assert red(sheet).any()
    for path in (tmp_path / "small").iterdir():
        assert np.asarray(Image.open(path)).std() > 5
