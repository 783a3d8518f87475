"""Train a small model on shipped digits for a minute, and use it.  Usage: train_model.py FOLDER [STEPS]"""

import sys
from pathlib import Path

import inverse_graphics as ig

out = Path(sys.argv[1])
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 60

# A recipe is one YAML file; any of its keys can be changed. Other recipes: "table_top", "act_parity", …
overrides = [
    f"steps={steps}",
    "batch_size=32",
    "data.digits=shipped",
    "evaluation.every=20",
    "evaluation.size=200",
]
result = ig.train("multi_mnist_small", out / "run", overrides)

for row in result.history:
    held_out = row["held_out"]
    print("step", row["step"], f"ELBO {held_out['elbo']:.1f} nats, counts {held_out['count_accuracy']:.1%}")

# The run's folder holds recipe.yaml, history.jsonl, checkpoints/, tensorboard/ and weights/.
assert result.weights is not None, "the run is finished"
parser = ig.load_parser(result.weights)
digits = Path(__file__).parents[1] / "docs" / "digits.png"
print(parser.parse(digits))  # so few steps teach it little; the recipe has 4,000
print((result.weights / "README.md").read_text(encoding="utf-8").splitlines()[0])
