"""Infer the objects and the camera of an image.  Usage: infer_scene.py FOLDER [IMAGE]"""

import json
import sys
from pathlib import Path

import numpy as np

import inverse_graphics as ig

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
image = sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parents[1] / "docs" / "table.png"

parser = ig.load_parser()  # the shipped model "table_top"; a model's folder is accepted, too
parse = parser.parse(image)
print(parse)
(out / "parse.json").write_text(json.dumps(parse.to_json(), indent=2), encoding="utf-8")

for found in parse.objects:
    print(found.identity, f"{found.identity_probability:.3f}", "sd in mm:", end=" ")
    print([round(1000 * std, 1) for std in found.position_std_m or ()])
    print(np.array(found.T_camera_object).round(3))  # the pose in the camera's frame, 4×4

# The inferred scene is a scene like any other: it can be saved, changed and rendered.
assert parse.scene is not None, "a 3D model infers a scene"
ig.save_scene(parse.scene, out / "scene.yaml")
ig.render(parse.scene).save(out / "again.png")

# Several images at once, in any form: a path, an array, a Pillow image, a tensor.
pixels = ig.read_image(image)
as_bytes = np.rint(255 * pixels).astype(np.uint8)
mirrored = pixels[:, ::-1]
for parse in parser.parse([image, as_bytes, mirrored], ["file", "bytes", "mirrored"]):
    print(repr(parse), "warning:", parse.warning)
