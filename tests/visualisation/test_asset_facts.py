import numpy as np

from inverse_graphics.packs.pack import load_pack
from inverse_graphics.visualisation.asset_facts import facts_of_pack


def test_facts_of_a_pack_report_sizes_and_symmetries():
    facts = {fact.asset: fact for fact in facts_of_pack(load_pack("primitives"))}
    assert facts["primitives/cube"].faces == 12
    np.testing.assert_allclose(facts["primitives/cube"].size_m, 0.1, atol=1e-6)
    assert facts["primitives/cube"].symmetry == "24 rotations"
    assert facts["primitives/sphere"].symmetry == "any rotation"
    assert facts["primitives/cylinder"].surface.startswith("texture of ")
