"""Files of every format, damaged at random: read, or refused with one line, and soon."""

import base64
import json
import time

import pytest
import test_gltf
import test_obj
import test_ply
import test_stl
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_files import PICTURE, pack_of

from inverse_graphics.errors import AssetError


def text_gltf():
    buffer, meshes = test_gltf.listed()
    header = buffer.header(meshes=meshes, materials=[{}])
    size = header["buffers"][0]["byteLength"]
    header["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(buffer.data.ljust(size, b"\0")).decode()
    return json.dumps(header).encode()


SOUND = {
    "obj": [test_obj.TEXTURED.encode(), test_obj.PLAIN.encode()],
    "ply": [test_ply.PLAIN, test_ply.square(faces=test_ply.MIXED, encoding="binary_little_endian")],
    "stl": [test_stl.binary(), test_stl.text().encode()],
    "glb": [
        test_gltf.square(test_gltf.pictured()),
        *(b.glb(meshes=m, materials=[{}]) for b, m in test_gltf.SHAPES),
    ],
    "gltf": [text_gltf()],
}
WORDS = [
    b"0",
    b"-1",
    b"99999999999",
    b"1e308",
    b"nan",
    b"{}",
    b"[]",
    b"null",
    b"..",
    b"/",
    b"\0",
    b"\xff",
    b"\n",
    b"",
]


@pytest.mark.parametrize("kind", SOUND)
@settings(max_examples=200)
@given(data=st.data())
def test_damaged(tmp_path_factory, kind, data):
    content = data.draw(st.sampled_from(SOUND[kind]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(start + 12, len(content))))
        content = content[:start] + data.draw(st.sampled_from(WORDS) | st.binary(max_size=4)) + content[stop:]
    folder = tmp_path_factory.getbasetemp() / f"damaged_{kind}"
    files = {f"thing.{kind}": content, "thing.mtl": "newmtl a\nmap_Kd skin.png\n", "skin.png": PICTURE}
    pack = pack_of(folder, files, f"thing.{kind}")
    start = time.process_time()
    try:
        assert len(pack.mesh("thing").faces)
    except AssetError as refusal:
        assert str(refusal).startswith(f"pack 'own', object 'thing', thing.{kind}: ")  # noqa: PT017
        assert "\n" not in str(refusal)  # noqa: PT017
        assert len(str(refusal)) < 500  # noqa: PT017
    assert time.process_time() - start < 2
