"""STL files as the world writes them."""

import struct

import numpy as np
import pytest
from mesh_files import BLUE, GREEN, GREY, RED, SQUARE, TRIANGLES, all_in, check_seen, pack_of

from inverse_graphics.errors import AssetError


def binary(header=b"", words=(0, 0), normal=(0, 0, 1), count=2):
    faces = (
        struct.pack("<12fH", *normal, *(x for i in corners for x in SQUARE[i]), word)
        for corners, word in zip(TRIANGLES, words, strict=True)
    )
    return header.ljust(80, b" ")[:80] + struct.pack("<I", count) + b"".join(faces)


def text(name="thing", solids=1):
    faces = [
        " facet normal 0 0 1\n  outer loop\n"
        + "".join("   vertex {:e} {:e} {:e}\n".format(*SQUARE[i]) for i in corners)
        + "  endloop\n endfacet\n"
        for corners in TRIANGLES
    ]
    groups = [faces] if solids == 1 else [[face] for face in faces]
    return "".join(f"solid {name}\n{''.join(group)}endsolid {name}\n" for group in groups)


@pytest.mark.parametrize(
    "content",
    [
        binary(),
        binary(b"solid exported by a CAD program"),
        binary(b"solid facet normal outer loop vertex endsolid"),
        binary() + b"\0" * 37,
        binary(b"solid") + b"\0" * 120,
        binary(count=0),
        binary(normal=(float("nan"),) * 3),
        text(),
        text().upper(),
        "\ufeff" + text(),
        "\n  " + text(),
        text().replace("\n", "\r\n").replace("   vertex ", "\t\tvertex\t"),
        text().replace("\n", "\r"),
        text().replace("endsolid thing\n", ""),
        text(""),
        text("my vertex 1 2 3 facet [v2] (copy)"),
        text(solids=2),
        text().encode("utf-16"),
        ("solid Würfel\n" + text()[12:]).encode("latin-1"),
    ],
)
def test_ways_to_write_a_square(tmp_path, content):
    pack = pack_of(tmp_path, {"thing.stl": content}, "thing.stl", colour=[1, 0, 0])
    check_seen(pack, all_in(RED))
    check_seen(pack, all_in(RED), diffuse=True)  # normals are those of the corners


def test_without_colours_it_is_grey(tmp_path):
    check_seen(pack_of(tmp_path, {"thing.stl": binary()}, "thing.stl"), all_in(GREY))


@pytest.mark.parametrize(
    ("header", "words", "lower", "upper"),
    [
        (b"", (0x8000 | 31 << 10, 0x8000 | 31), RED, BLUE),  # VisCAM: blue in the lowest bits, bit 15 set
        (b"", (0x8000 | 31 << 5, 0x7FFF), GREEN, GREY),
        (b"COLOR=\0\0\xff\xff", (31, 0x8000), RED, BLUE),  # Magics: red there, bit 15 for the whole's colour
    ],
)
def test_colours_in_the_words_behind_the_faces(tmp_path, header, words, lower, upper):
    pack = pack_of(tmp_path, {"thing.stl": binary(header, words)}, "thing.stl")
    check_seen(pack, [((0.05, -0.05), lower), ((-0.05, 0.05), upper)])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (binary(count=3), "it is cut short: it has 2 faces of 3"),
        (binary()[:60], "it is cut short"),
        (text()[: text().rindex("vertex")], "it is cut short: 5 corners do not make triangles"),
        (text().replace("1.000000e-01 1.0", "1,0 1.0"), "a vertex that is not three numbers"),
    ],
)
def test_what_no_reading_could_mean_is_refused(tmp_path, content, expected):
    with pytest.raises(AssetError, match=expected):
        pack_of(tmp_path, {"thing.stl": content}, "thing.stl").mesh("thing")


def test_a_part_far_from_its_origin_keeps_its_shape(tmp_path):
    faces = np.frombuffer(
        binary()[84:], np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("w", "<u2")])
    ).copy()
    faces["v"][..., 0] += 100.0
    pack = pack_of(tmp_path, {"thing.stl": binary()[:84] + faces.tobytes()}, "thing.stl", colour=[1, 0, 0])
    check_seen(pack, all_in(RED), position_m=[-100.0, 0, 0])
