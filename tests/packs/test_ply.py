"""PLY files as the world writes them."""

import struct

import pytest
from mesh_files import (
    BLUE,
    GREEN,
    GREY,
    NOTHING,
    PICTURE,
    RED,
    SQUARE,
    TRIANGLES,
    UV,
    all_in,
    check_seen,
    encoded,
    pack_of,
    quadrants,
    quarters,
)

from inverse_graphics.errors import AssetError

XYZ = ("float x", "float y", "float z")
CODES = {
    "float": "f",
    "double": "d",
    "uchar": "B",
    "ushort": "H",
    "int": "i",
    "uint": "I",
    "uint8": "B",
    "uint32": "I",
}


def header(encoding, comments, *elements):
    lines = ["ply", f"format {encoding} 1.0", *(f"comment {comment}" for comment in comments)]
    for name, count, properties in elements:
        lines += [f"element {name} {count}", *(f"property {item}" for item in properties)]
    return "\n".join([*lines, "end_header", ""])


def rows_of(properties, rows, encoding):
    """The rows of an element; lists are given as lists."""
    if encoding == "ascii":
        flat = [[str(x) for v in row for x in ([len(v), *v] if isinstance(v, list) else [v])] for row in rows]
        return "".join(" ".join(row) + "\n" for row in flat).encode()
    order, content = "<" if encoding == "binary_little_endian" else ">", b""
    for row in rows:
        for item, value in zip(properties, row, strict=True):
            kinds = item.split()[:-1]
            if kinds[0] == "list":
                content += struct.pack(order + CODES[kinds[1]], len(value))
                content += struct.pack(f"{order}{len(value)}{CODES[kinds[2]]}", *value)
            else:
                content += struct.pack(order + CODES[kinds[0]], value)
    return content


FACES = ("face", ("list uchar int vertex_indices",), [[t] for t in TRIANGLES])


def ply(*elements, encoding="ascii", comments=()):
    """A file of elements: name, properties, rows."""
    start = header(encoding, comments, *((name, len(rows), items) for name, items, rows in elements))
    return start.encode() + b"".join(rows_of(items, rows, encoding) for _, items, rows in elements)


def square(*properties, values=((),) * 4, faces=FACES, **more):
    """A square whose vertices have more than coordinates."""
    rows = [[*place, *value] for place, value in zip(SQUARE, values, strict=True)]
    return ply(("vertex", (*XYZ, *properties), rows), faces, **more)


PLAIN = square()
MIXED = ("face", FACES[1], [[[0, 1, 2]], [[0, 2, 3]], [[]], [[0, 1]], [[0, 1, 2, 3]]])


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b"\n", b"\r"),
        PLAIN.replace(b"0.1 0.1 0\n", b"0.1\t0.1   0 \n"),
        square(encoding="binary_little_endian"),
        square(encoding="binary_big_endian"),
        square(encoding="binary_little_endian").replace(b"\n", b"\r\n", 9),
        square(comments=["made by hand"]).replace(b"comment", "obj_info à la\ncomment".encode("latin-1")),
        square("float quality", "list uchar int neighbours", values=[[0.5, [1]]] * 4),
        square(
            "list uchar int neighbours", values=[[[1]], [[]], [[1, 2]], [[3]]], encoding="binary_big_endian"
        ),
        square(
            faces=("face", ("list uint8 uint32 vertex_index",), [[[0, 1, 2, 3]]]),
            encoding="binary_big_endian",
        ),
        square(faces=MIXED),
        square(faces=MIXED, encoding="binary_little_endian"),
        ply(FACES, ("vertex", XYZ, SQUARE)),
        ply(FACES, ("vertex", ("double x", "double y", "double z"), SQUARE), encoding="binary_big_endian"),
        ply(("vertex", XYZ, SQUARE), FACES, ("edge", ("int vertex1", "int vertex2"), [[0, 1]])),
        ply(("vertex", XYZ, SQUARE), ("tristrips", ("list int int vertex_indices",), [[[0, 1, 3, 2, -1]]])),
        ply(
            ("vertex", XYZ, SQUARE),
            ("tristrips", ("list int int vertex_indices",), [[[0, 1, 3, -1, 1, 2, 3]]]),
        ),
        ply(("vertex", XYZ, [*SQUARE, [1e9, 0, 0], ["nan"] * 3]), FACES),  # no face names them
    ],
)
def test_ways_to_write_a_square(tmp_path, content):
    pack = pack_of(tmp_path, {"thing.ply": content}, "thing.ply", colour=[1, 0, 0])
    check_seen(pack, [*all_in(RED), ((0.12, 0), NOTHING)])
    check_seen(pack, all_in(RED), diffuse=True)


def test_faces_of_three_to_five_corners(tmp_path):
    points = [(-0.1, -0.1), (0, -0.1), (0, 0.1), (-0.1, 0.1), (0.1, -0.1), (0.1, 0), (0.05, 0.1)]
    vertices = ("vertex", XYZ, [[x, y, 0] for x, y in points])
    faces = ("face", FACES[1], [[[0, 1, 2, 3]], [[1, 4, 5, 6, 2]]])
    pack = pack_of(
        tmp_path, {"thing.ply": ply(vertices, faces, encoding="binary_little_endian")}, "thing.ply"
    )
    check_seen(
        pack, [((-0.05, 0), GREY), ((0.05, -0.05), GREY), ((0.04, 0.07), GREY), ((0.09, 0.08), NOTHING)]
    )


RGB = ("red", "green", "blue")


@pytest.mark.parametrize(
    ("kind", "names", "value", "seen"),
    [
        ("uchar", RGB, (255, 102, 0), (255, 102, 0)),
        ("uchar", (*RGB, "alpha"), (255, 102, 0, 0), (255, 102, 0)),
        ("uchar", RGB, (102, 102, 102), (102, 102, 102)),
        ("uchar", RGB, (0, 0, 0), (0, 0, 0)),
        ("ushort", RGB, (65535, 26214, 0), (255, 102, 0)),
        ("int", RGB, (255, 102, 0), (255, 102, 0)),
        ("float", RGB, (1.0, 0.4, 0.0), (255, 102, 0)),
        ("double", RGB, (1.0, 0.4, 0.0), (255, 102, 0)),
        ("float", RGB, (255.0, 102.0, 0.0), (255, 102, 0)),
        ("uchar", ("diffuse_red", "diffuse_green", "diffuse_blue"), (255, 102, 0), (255, 102, 0)),
    ],
)
@pytest.mark.parametrize("encoding", ["ascii", "binary_big_endian"])
def test_colours_of_vertices(tmp_path, kind, names, value, seen, encoding):
    properties = [f"{kind} {name}" for name in names]
    content = square(*properties, values=[value] * 4, encoding=encoding)
    check_seen(pack_of(tmp_path, {"thing.ply": content}, "thing.ply"), all_in(seen), tolerance=2)


COLOURS = tuple(f"uchar {name}" for name in RGB)


def test_colours_of_faces_go_before_those_of_vertices(tmp_path):
    faces = ("face", (*FACES[1], *COLOURS), [[TRIANGLES[0], *RED], [TRIANGLES[1], *BLUE]])
    content = square(*COLOURS, values=[(128, 128, 128)] * 4, faces=faces)
    check_seen(
        pack_of(tmp_path, {"thing.ply": content}, "thing.ply"), [((0.05, -0.05), RED), ((-0.05, 0.05), BLUE)]
    )


@pytest.mark.parametrize("names", ["st", "uv", ("texture_u", "texture_v")])
def test_the_picture_that_a_comment_names(tmp_path, names):
    content = square(*(f"float {name}" for name in names), values=UV, comments=["TextureFile my skin.png"])
    files = {"models/thing.ply": content, "models/my skin.png": PICTURE}
    check_seen(pack_of(tmp_path, files, "models/thing.ply"), quarters())
    grey = square(
        *COLOURS,
        "float s",
        "float t",
        values=[(127, 127, 127, *uv) for uv in UV],
        comments=["TextureFile my skin.png"],
    )
    check_seen(pack_of(tmp_path, files | {"models/thing.ply": grey}, "models/thing.ply"), quarters())
    (tmp_path / "models" / "my skin.png").unlink()
    with pytest.raises(AssetError, match=r"'models/my skin\.png' does not exist"):
        pack_of(tmp_path, {}, "models/thing.ply").mesh("thing")


def test_coordinates_without_a_picture_leave_the_colours(tmp_path):
    content = square("float s", "float t", *COLOURS, values=[(*uv, *RED) for uv in UV])
    check_seen(pack_of(tmp_path, {"thing.ply": content}, "thing.ply"), all_in(RED))
    check_seen(pack_of(tmp_path, {"own.png": PICTURE}, "thing.ply", texture="own.png"), quarters())


SIX = [[-0.1, -0.05, 0], [0, -0.05, 0], [0.1, -0.05, 0], [-0.1, 0.05, 0], [0, 0.05, 0], [0.1, 0.05, 0]]
WEDGES = [
    [[a, b, c], [x for corner in uv for x in corner]]
    for quad in ([0, 1, 4, 3], [1, 2, 5, 4])
    for a, b, c, uv in (
        (quad[0], quad[1], quad[2], [UV[0], UV[1], UV[2]]),
        (quad[0], quad[2], quad[3], [UV[0], UV[2], UV[3]]),
    )
]
BOTH = quarters((-0.05, 0), 0.1, 0.1) + quarters((0.05, 0), 0.1, 0.1)


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_coordinates_of_the_corners_of_faces(tmp_path, encoding):
    items = (*FACES[1], "list uchar float texcoord")
    content = ply(
        ("vertex", XYZ, SIX), ("face", items, WEDGES), encoding=encoding, comments=["TextureFile skin.png"]
    )
    check_seen(pack_of(tmp_path, {"thing.ply": content, "skin.png": PICTURE}, "thing.ply"), BOTH)
    faces = [[*wedge, number] for wedge, number in zip(WEDGES, [0, 0, 1, 1], strict=True)]
    content = ply(
        ("vertex", XYZ, SIX), ("face", (*items, "int texnumber"), faces), encoding=encoding,
        comments=["TextureFile skin.png", "TextureFile other.png"],
    )  # fmt: skip
    files = {"thing.ply": content, "skin.png": PICTURE, "other.png": encoded(quadrants(32)[::-1])}
    flipped = [((x, -y), colour) for (x, y), colour in quarters((0.05, 0), 0.1, 0.1)]
    check_seen(pack_of(tmp_path, files, "thing.ply"), BOTH[:4] + flipped)


def test_rows_with_more_than_the_header_tells_of(tmp_path):
    """MeshLab wrote colours of corners as nine numbers where its header says four."""
    content = square(faces=("face", (*FACES[1], *COLOURS), [[t, *GREEN] for t in TRIANGLES]))
    content = content.replace(b" 0 255 0\n", b" 0 255 0 1 1 1 1 1\n")
    check_seen(pack_of(tmp_path, {"thing.ply": content}, "thing.ply"), all_in(GREEN))


@pytest.mark.parametrize(
    "content",
    [
        PLAIN[:-8],
        PLAIN.replace(b"3 0 1 2", b"3 0 1 9"),
        PLAIN.replace(b"3 0 1 2", b"3 0 1 -1"),
        PLAIN.replace(b"3 0 1 2", b"3 0 x 2"),
        PLAIN.replace(b"float x", b"half x"),
        PLAIN.replace(b"float x", b"float q"),
        PLAIN.replace(b"ascii", b"gzip"),
        square(encoding="binary_little_endian")[:-1],
        square(faces=MIXED, encoding="binary_little_endian")[:-1],
    ],
)
def test_what_no_reading_could_mean_is_refused(tmp_path, content):
    with pytest.raises(AssetError, match=r"^pack 'own', object 'thing', thing\.ply: "):
        pack_of(tmp_path, {"thing.ply": content}, "thing.ply").mesh("thing")
