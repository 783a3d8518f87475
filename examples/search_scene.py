"""Search for the scene of an image through the renderer.  Usage: search_scene.py FOLDER [RESTARTS STEPS]"""

import sys
from pathlib import Path

import inverse_graphics as ig

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
restarts, steps = map(int, sys.argv[2:] or (2, 30))
image = Path(__file__).parents[1] / "docs" / "table.png"

# Without a network: scenes sampled from the family are moved, exchanged and compared with the image.
searched = ig.optimise(image, family="table_top", restarts=restarts, steps=steps, seed=0)
print("from the prior,", f"{searched.parse.log_likelihood:,.0f} nats:")
print(searched.parse)
print("log p(image, scene) of each restart:", searched.search.restarts[0].tolist())

# From the network's answer: a few steps make it more precise, and never worse.
refined = ig.optimise(image, "table_top", start="network", steps=steps)
before, after = refined.log_likelihood_before, refined.parse.log_likelihood
print("from the network,", f"{before:,.0f} nats before, {after:,.0f} nats after:")
print(refined.parse)

best = max((searched.parse, refined.parse), key=lambda parse: parse.log_likelihood)
assert best.scene is not None, "a search finds a scene"
ig.save_scene(best.scene, out / "best.yaml")
ig.render(best.scene).save(out / "best.png")
