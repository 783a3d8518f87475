"""OBJ and MTL files as the world writes them: each is drawn right, or refused with what to do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesh_files import (
    BLUE,
    GREEN,
    GREY,
    LEFT,
    NOTHING,
    PICTURE,
    QUADRANTS,
    RED,
    RIGHT,
    SQUARE,
    all_in,
    check_seen,
    pack_of,
    quarters,
)

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.pack import _warn_once
from inverse_graphics.packs.part import triangulate

VT = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"


def vertices(points=SQUARE):
    return "".join(f"v {x} {y} {z}\n" for x, y, z in points)


TEXTURED = "mtllib thing.mtl\n" + vertices() + VT + "usemtl a\nf 1/1 2/2 3/3 4/4\n"
SKIN = "newmtl a\nmap_Kd skin.png\n"
PLAIN = vertices() + "f 1 2 3\nf 1 3 4\n"
TWO = vertices(LEFT) + vertices(RIGHT)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(" ", "\t"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\ufeff" + PLAIN,
        "\ufeff# made on Windows\r\n" + PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("v ", "  v ").replace("f ", "  f "),
        PLAIN.replace("f 1 2 3", "f 1 2 3 # lower"),
        PLAIN.replace(" 0\n", " 0 1.0\n"),
        PLAIN.replace("v -0.1 ", "v \\\n -0.1 ").replace("f 1 3 4", "f 1 \\  \n3 4"),
        "# C:\\models\\\n" + PLAIN,  # a comment is not continued
        vertices() + "f 1 2 3 4\nl 1 2\np 1\n",
        vertices() + "vn 0 0 1\nf 1//1 2//1 3//1 4//1\n",
        vertices() + "g a b\no c\ns 1\nf -4 -3 -2 -1\n",
        vertices() + "f 1/9 2/9 3/9 4/9\n",  # coordinates that are not there
        PLAIN.encode("utf-16"),
        ("# créé\n" + PLAIN).encode("latin-1"),
        PLAIN.rstrip("\n"),
    ],
)  # fmt: skip
def test_ways_to_write_a_square(tmp_path, text):
    check_seen(pack_of(tmp_path, {"thing.obj": text}, "thing.obj", colour=[1, 0, 0]), all_in(RED))


def test_negative_indices_count_from_the_last_vertex_so_far(tmp_path):
    text = "".join(vertices(part) + "vt 0 0\nf -4/-1 -3/-1 -2/-1\nf -4 -2 -1\n" for part in (LEFT, RIGHT))
    points = [((-0.05, 0.05), RED), ((0.05, 0.05), RED), ((0, 0.05), NOTHING)]
    check_seen(pack_of(tmp_path, {"thing.obj": text}, "thing.obj", colour=[1, 0, 0]), points)


@pytest.mark.parametrize(
    "line", ["f 0 1 2", "f 1 2 -9", "f 1 2 9", "f a b c", "v 1 2", "v x y z", "f 1 2 3/-7"]
)
def test_what_no_reading_could_mean_is_refused(tmp_path, line):
    pack = pack_of(tmp_path, {"thing.obj": vertices() + line + "\nf 1 2 3\n"}, "thing.obj")
    with pytest.raises(AssetError, match=r"^pack 'own', object 'thing', thing\.obj: "):
        pack.mesh("thing")


def test_concave_faces_leave_what_lies_between_their_arms(tmp_path):
    u = [
        (-0.1, 0.1),
        (-0.1, -0.1),
        (0.1, -0.1),
        (0.1, 0.1),
        (0.05, 0.1),
        (0.05, -0.05),
        (-0.05, -0.05),
        (-0.05, 0.1),
    ]
    text = vertices((x, y, 0) for x, y in u) + "f 1 2 3 4 5 6 7 8\n"
    pack = pack_of(tmp_path, {"thing.obj": text}, "thing.obj", colour=[1, 0, 0])
    inside, outside = [(-0.075, 0.05), (0.075, 0.05), (0, -0.075)], [(0, 0.03), (-0.04, 0.06), (0.04, 0.06)]
    check_seen(pack, [(p, RED) for p in inside] + [(p, NOTHING) for p in outside])


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("turn", [1, -1])
def test_a_concave_quad_wherever_it_begins(tmp_path, first, turn):
    corners = np.roll([(-0.1, -0.1, 0), (0, -0.05, 0), (0.1, -0.1, 0), (0, 0.1, 0)], first, axis=0)[::turn]
    text = vertices(corners.tolist()) + "f 1 2 3 4\n"
    pack = pack_of(tmp_path, {"thing.obj": text}, "thing.obj", colour=[1, 0, 0])
    check_seen(pack, [((0, 0.03), RED), ((0, -0.08), NOTHING), ((-0.07, -0.075), RED)])


radii = st.lists(st.floats(0.1, 1), min_size=5, max_size=40)


@given(radii, st.integers(0, 5), st.booleans())
def test_the_triangles_of_any_polygon_cover_it_once(radius, tilt, backwards):
    """A star-shaped polygon in any plane: areas add up, and all triangles face as the polygon does."""
    angle = np.linspace(0, 2 * np.pi, len(radius), endpoint=False)
    flat = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1) * np.array(radius)[:, None] + [0.3, 9, 0]
    c, s = np.cos(tilt), np.sin(tilt)
    corners = flat[:: -1 if backwards else 1] @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    triangles, _ = triangulate(np.arange(len(corners)), np.array([len(corners)]), corners)
    areas = np.cross(*(corners[triangles[:, i]] - corners[triangles[:, 0]] for i in (1, 2)))
    whole = np.cross(corners - corners[0], np.roll(corners, -1, axis=0) - corners[0]).sum(axis=0)
    np.testing.assert_allclose(areas.sum(axis=0), whole, atol=1e-9)
    assert np.linalg.norm(areas, axis=1).sum() == pytest.approx(np.linalg.norm(whole), rel=1e-9)


def test_a_comb_of_many_teeth_is_cut_soon_and_a_larger_one_refused(tmp_path):
    def comb(teeth):
        points = [(0.0, -1.0), (1.0, -1.0)]
        for i in range(teeth, 0, -1):
            points += [(i / teeth, 1.0), ((i - 0.5) / teeth, 0.0)]
        return vertices((x, y, 0) for x, y in points) + "f " + " ".join(map(str, range(1, len(points) + 1)))

    mesh = pack_of(tmp_path, {"thing.obj": comb(300)}, "thing.obj").mesh("thing")
    assert len(mesh.faces) == 600
    with pytest.raises(AssetError, match="corners in a face that is not convex: expected at most 2,000"):
        pack_of(tmp_path, {"thing.obj": comb(1100)}, "thing.obj").mesh("thing")


@pytest.mark.parametrize(
    "text",
    [
        "newmtl green\nKd 0 1 0\nnewmtl blue\nKd 0 0 1\n",
        "\ufeffnewmtl green\r\n\tKd\t0 1 0 # grass\r\n\r\nnewmtl blue\r\nKd 0 0 1\r\n",
        "NEWMTL green\nKD 0 1 0\nNs 10\nd 0\nTr 1\nmap_Bump none.tga\nnewmtl blue\nKd 0.0e0 0 1.0e+00\n",
        "newmtl green\nKa 0\nKs 0\nKd 0 1 0\nnewmtl unused\nmap_Kd none.png\nnewmtl blue\nKd 0 0 1\n",
    ],
)
def test_materials_apply_to_their_own_faces(tmp_path, text):
    obj = "mtllib thing.mtl\n" + TWO + "usemtl green\nf 1 2 3 4\no b\nusemtl blue\nf 5 6 7 8\n"
    pack = pack_of(tmp_path, {"thing.obj": obj, "thing.mtl": text}, "thing.obj")
    check_seen(pack, [((-0.05, 0.05), GREEN), ((0.05, 0.05), BLUE)])


@pytest.mark.parametrize(
    "line", ["mtllib a.mtl b.mtl", "mtllib a.mtl\nmtllib b.mtl", "mtllib .\\a.mtl\nmtllib B.MTL"]
)
def test_several_libraries(tmp_path, line):
    files = {"a.mtl": "newmtl green\nKd 0 1 0\n", "b.mtl": "newmtl blue\nKd 0 0 1\n"}
    obj = line + "\n" + TWO + "usemtl green\nf 1 2 3 4\nusemtl blue\nf 5 6 7 8\n"
    check_seen(
        pack_of(tmp_path, {"thing.obj": obj, **files}, "thing.obj"),
        [((-0.05, 0.05), GREEN), ((0.05, 0.05), BLUE)],
    )


def test_names_with_spaces_and_letters_of_other_encodings(tmp_path):
    obj = ("mtllib mein Öl.mtl\n" + vertices() + "usemtl Überzug #2\nf 1 2 3 4\n").encode("latin-1")
    mtl = "newmtl Überzug #2\nKd 1 0 0\n".encode()
    with pytest.raises(AssetError, match="does not exist"):
        pack_of(tmp_path, {"thing.obj": obj}, "thing.obj").mesh("thing")
    obj = obj.replace(b" #2", b"#2")
    files = {"thing.obj": obj, "mein Öl.mtl": mtl.replace(b" #2", b"#2")}
    check_seen(pack_of(tmp_path, files, "thing.obj"), all_in(RED))


def test_one_number_of_a_colour_stands_for_three(tmp_path):
    obj = "mtllib thing.mtl\n" + vertices() + "usemtl a\nf 1 2 3 4\n"
    pack = pack_of(tmp_path, {"thing.obj": obj, "thing.mtl": "newmtl a\nKd 0.8\n"}, "thing.obj")
    check_seen(pack, all_in((204, 204, 204)))


LINES = [
    ("skin.png", "skin.png"),
    ("my skin.png", "my skin.png"),
    ("textures/skin.png", "textures\\skin.png"),
    ("skin.png", ".\\Skin.PNG"),
    ("skin.png", '"skin.png"'),
    ("skin.png", "-blendu on -s 1 1 1 -o 0 0 -mm 0 1 -bm 0.5 skin.png"),
    ("my skin.png", "-clamp on  my skin.png"),
    ("skin.png", "/home/someone/Skin.png"),
    ("scha\u0308l.png", "sch\u00e4l.png"),
]
"""Names of a picture, and how `map_Kd` may name it from the same folder."""


@pytest.mark.parametrize(
    ("mesh", "library", "picture", "line"),
    [
        *(("thing.obj", "thing.mtl", picture, line) for picture, line in LINES),
        ("box/thing.obj", "box/thing.mtl", "box/skin.png", "skin.png"),
        ("a/b/thing.obj", "a/b/thing.mtl", "a/textures/skin.png", "../textures/skin.png"),
        ("box/thing.obj", "box/thing.mtl", "box/skin.png", "C:\\Users\\someone\\skin.png"),
    ],
)
def test_pictures_are_found_from_the_file_that_names_them(tmp_path, mesh, library, picture, line):
    files = {mesh: TEXTURED, library: f"newmtl a\nKd 0.3 0.3 0.3\nmap_Kd {line}\n", picture: PICTURE}
    check_seen(pack_of(tmp_path, files, mesh), quarters())


def test_the_scale_and_offset_of_a_picture(tmp_path):
    files = {"thing.obj": TEXTURED, "thing.mtl": "newmtl a\nmap_Kd -s 2 2 1 skin.png\n", "skin.png": PICTURE}
    tiles = [point for x in (-0.05, 0.05) for y in (-0.05, 0.05) for point in quarters((x, y), 0.1, 0.1)]
    check_seen(pack_of(tmp_path, files, "thing.obj"), tiles)
    files["thing.mtl"] = "newmtl a\nmap_Kd -o 0.5 0.5 skin.png\n"
    moved = [((-x, -y), colour) for (x, y), colour in quarters()]
    check_seen(pack_of(tmp_path, files, "thing.obj"), moved)


def test_a_clamped_picture_does_not_repeat(tmp_path):
    obj = TEXTURED.replace("vt 1 0\nvt 1 1\nvt 0 1", "vt 2 0\nvt 2 2\nvt 0 2")
    files = {"thing.obj": obj, "thing.mtl": "newmtl a\nmap_Kd -clamp on skin.png\n", "skin.png": PICTURE}
    corner = [(p, colour) for p, colour in quarters((-0.05, -0.05), 0.1, 0.1)]
    beyond = [
        ((0.05, -0.075), QUADRANTS[1, -1]),
        ((-0.075, 0.05), QUADRANTS[-1, 1]),
        ((0.05, 0.05), QUADRANTS[1, 1]),
    ]
    check_seen(pack_of(tmp_path, files, "thing.obj"), corner + beyond)


def test_a_library_of_one_material_that_nothing_names(tmp_path):
    files = {"thing.obj": TEXTURED.replace("usemtl a\n", ""), "thing.mtl": SKIN, "skin.png": PICTURE}
    check_seen(pack_of(tmp_path, files, "thing.obj"), quarters())


@pytest.mark.parametrize("red", ["5/1 6/2 7/3 8/4", "5 6 7 8"])
def test_a_textured_part_and_a_plain_one(tmp_path, red):
    obj = f"mtllib thing.mtl\n{TWO}{VT}usemtl a\nf 1/1 2/2 3/3 4/4\nusemtl red\nf {red}\n"
    files = {"thing.obj": obj, "thing.mtl": SKIN + "Kd .5 .5 .5\nnewmtl red\nKd 1 0 0\n", "skin.png": PICTURE}
    plain = [((x, y), RED) for x in (0.015, 0.09) for y in (-0.09, 0.09)]
    check_seen(pack_of(tmp_path, files, "thing.obj"), quarters((-0.055, 0), 0.1, 0.2) + plain)


def test_two_materials_with_one_picture_and_two_with_their_own(tmp_path):
    obj = f"mtllib thing.mtl\n{TWO}{VT}usemtl a\nf 1/1 2/2 3/3 4/4\nusemtl b\nf 5/1 6/2 7/3 8/4\n"
    files = {"thing.obj": obj, "thing.mtl": SKIN + SKIN.replace("newmtl a", "newmtl b"), "skin.png": PICTURE}
    pack = pack_of(tmp_path, files, "thing.obj")
    both = quarters((-0.055, 0), 0.1, 0.2) + quarters((0.055, 0), 0.1, 0.2)
    check_seen(pack, both)
    assert pack.mesh("thing").texture.shape == (64, 64, 3)
    other = {"thing.mtl": SKIN + "newmtl b\nmap_Kd other.png\n", "other.png": PICTURE}
    pack = pack_of(tmp_path, files | other, "thing.obj")
    check_seen(pack, both)
    assert pack.mesh("thing").texture.shape == (64, 64, 3)  # the same bytes by another name


@pytest.mark.parametrize("material", ["", "mtllib thing.mtl\nusemtl a\n"])
def test_colours_behind_the_coordinates(tmp_path, material):
    rows = zip(SQUARE, ["1 0 0", "1 0 0", "0 0 1", "0 0 1"], strict=True)
    obj = material + "".join(f"v {x} {y} {z} {colour}\n" for (x, y, z), colour in rows) + "f 1 2 3\nf 1 3 4\n"
    files = {"thing.obj": obj, "thing.mtl": "newmtl a\nKa 0.2 0.2 0.2\nKd 1.0 1.0 1.0\n"}
    points = [((0.05, -0.095), (249, 0, 6)), ((0.05, 0.095), (6, 0, 249)), ((-0.05, 0.0), (128, 0, 128))]
    check_seen(pack_of(tmp_path, files, "thing.obj"), points, tolerance=9)
    whole = obj.replace("1 0 0\n", "255 0 0\n").replace("0 0 1\n", "0 0 255\n")
    check_seen(pack_of(tmp_path, files | {"thing.obj": whole}, "thing.obj"), points, tolerance=9)


def test_a_picture_goes_before_colours_behind_the_coordinates(tmp_path):
    obj = TEXTURED.replace(" 0\nv", " 0 0.5 0.5 0.5\nv").replace(" 0\nvt", " 0 0.5 0.5 0.5\nvt", 1)
    pack = pack_of(tmp_path, {"thing.obj": obj, "thing.mtl": SKIN, "skin.png": PICTURE}, "thing.obj")
    check_seen(pack, quarters())


@pytest.mark.parametrize("text", [PLAIN, vertices() + VT + "usemtl a\nf 1/1 2/2 3/3 4/4\n"])
def test_without_material_it_is_grey_and_that_is_said(tmp_path, text, caplog):
    pack = pack_of(tmp_path, {"thing.obj": text}, "thing.obj")
    _warn_once.cache_clear()
    check_seen(pack, all_in(GREY))
    (remark,) = pack.remarks("thing")
    assert remark.startswith(
        "pack 'own', object 'thing', thing.obj: what its files give no colour is drawn in grey"
    )
    assert remark in caplog.text
    assert pack_of(tmp_path, {}, "thing.obj", colour=[1, 0, 0]).remarks("thing") == ()


def test_what_is_missing_is_refused_with_what_to_do_and_not_missed_if_the_manifest_has_it(tmp_path):
    files = {"thing.obj": TEXTURED, "thing.mtl": "newmtl a\nmap_Kd C:\\Users\\someone\\skin.png\n"}
    with pytest.raises(AssetError, match=r"lies outside the pack.*; or give a 'colour' or a 'texture'"):
        pack_of(tmp_path, files, "thing.obj").mesh("thing")
    with pytest.raises(AssetError, match=r"file 'gone\.mtl' does not exist.*; or give a 'colour'"):
        pack_of(tmp_path, {"thing.obj": TEXTURED.replace("thing.mtl", "gone.mtl")}, "thing.obj").mesh("thing")
    check_seen(pack_of(tmp_path, {}, "thing.obj", colour=[1, 0, 0]), all_in(RED))
    check_seen(pack_of(tmp_path, {"own.png": PICTURE}, "thing.obj", texture="own.png"), quarters())
    half = [(point, np.array(colour) / 2) for point, colour in quarters()]
    check_seen(pack_of(tmp_path, {}, "thing.obj", texture="own.png", colour=[0.5] * 3), half)
