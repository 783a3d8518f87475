"""Make an asset pack of two meshes, and render a scene with them.  Usage: own_pack.py FOLDER"""

import sys
from pathlib import Path

import trimesh

import inverse_graphics as ig

out = Path(sys.argv[1])
folder = out / "workshop"
folder.mkdir(parents=True, exist_ok=True)

# Meshes in their own frames: here metres and Z up, the origin at the centre of the base.
block = trimesh.creation.box((0.12, 0.08, 0.05))
ring = trimesh.creation.annulus(r_min=0.03, r_max=0.05, height=0.02)
for name, mesh in (("block", block), ("ring", ring)):
    mesh.apply_translation((0.0, 0.0, -mesh.bounds[0, 2]))
    mesh.export(folder / f"{name}.ply")

# Symmetries state which rotations leave an object unchanged; errors of rotation are computed modulo them.
(folder / "pack.yaml").write_text(
    """\
name: workshop
version: "1.0"
licence: CC0-1.0
description: A block and a ring
objects:
  block:
    mesh: block.ply
    unit: m
    up_axis: z
    colour: [0.8, 0.5, 0.3]
    symmetry: {discrete: [{axis: z, fold: 2}, {axis: x, fold: 2}]}
  ring:
    mesh: ring.ply
    unit: m
    up_axis: z
    colour: [0.3, 0.5, 0.8]
    symmetry: {continuous: z, discrete: [{axis: x, fold: 2}]}
""",
    encoding="utf-8",
)

pack = ig.load_pack(folder)
for asset in pack.asset_names:
    vertices = pack.mesh(asset).vertices  # metres, Z up, whatever the file had
    print(asset, "×".join(f"{1000 * side:.0f}" for side in vertices.max(0) - vertices.min(0)), "mm")

objects = [
    ig.SceneObject(asset="workshop/block", position_m=(-0.08, 0.0, 0.0)),
    ig.SceneObject(asset="workshop/ring", position_m=(0.08, 0.0, 0.0), scale=1.2),
    ig.SceneObject(asset="crockery/mug", position_m=(0.0, 0.12, 0.0)),
]
scene = ig.load_scene("breakfast").model_copy(update={"objects": tuple(objects)})
ig.save_scene(scene, out / "workshop.yaml")
ig.render(scene, packs=[pack], size=(320, 240)).save(out / "workshop.png")
