"""Render a scene that is described in Python: image, depth and mask.  Usage: render_scene.py FOLDER"""

import sys
from pathlib import Path

import inverse_graphics as ig

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

# The same fields as in a YAML file: metres, world frame, Z up, the table top is the plane z = 0.
scene = ig.Scene.model_validate(
    {
        "camera": {
            "width_px": 320,
            "height_px": 240,
            "orbit": {"azimuth_degrees": -60, "elevation_degrees": 35, "distance_m": 0.8},
        },
        "table": {"size_m": [0.6, 0.4]},
        "objects": [
            {"asset": "crockery/mug", "position_m": [0.1, 0.0, 0.0], "yaw_degrees": 45},
            {"asset": "crockery/plate", "position_m": [-0.1, 0.0, 0.0]},
        ],
    }
)
ig.save_scene(scene, out / "tea.yaml")

rendered = ig.render(scene)
rendered.save(out / "tea.png")
ig.write_depth(out / "depth.png", rendered.depth)  # 16 bits: millimetres, 0 where there is no surface
ig.write_mask(out / "mask.png", rendered.mask)  # the number of the visible object, 0 for none

print("image", rendered.image.shape, "nearest surface", f"{rendered.depth.min():.3f} m")
for number, pixels in enumerate(rendered.visible_pixels(), start=1):
    print(scene.objects[number - 1].asset, "has the mask", number, "and", pixels, "visible pixels")

# A shipped scene by its name, in another size, with 9 samples per pixel.
ig.render("breakfast", size=(160, 120), supersample=3).save(out / "breakfast.png")
