"""Halting: one stick-breaking process for AIR's presence, ACT and PACT.

Before each step a process is *alive* with some weight. The step predicts a halting logit h; a `Halting`
rule splits the alive weight into the part that halts here and the part that continues:

    halt_l = alive_l · z_l        keep_l = alive_l · (1 − z_l) = alive_{l+1}

What continues after the last split halts there, so L logits give L + 1 outcomes whose weights sum to one.
Rules differ in z (`rules`); one loop applies them (`pondering`).

In AIR (Eslami et al. 2016) outcome n means "n objects": the presence probability is 1 − σ(h), the count
distribution is `halt`, and `keep_l` is the probability that object l exists. ACT (Graves 2016) and PACT
(Figurnov et al. 2018) *select* one outcome instead (`selection`): outcome l is the state after step l,
there is at least one step, and the last step halts whatever its logit.
"""

from inverse_graphics.halting.pondering import Pondering, Step, ponder
from inverse_graphics.halting.rules import (
    Accumulated,
    Discrete,
    Enumerated,
    Halting,
    Relaxed,
    Split,
    Thresholded,
)
from inverse_graphics.halting.selection import (
    conditional_expected_steps,
    expected_steps,
    log_probability,
    log_weights,
    ponder_cost,
    select,
    skip_halted,
    steps_taken,
)

__all__ = [
    "Accumulated",
    "Discrete",
    "Enumerated",
    "Halting",
    "Pondering",
    "Relaxed",
    "Split",
    "Step",
    "Thresholded",
    "conditional_expected_steps",
    "expected_steps",
    "log_probability",
    "log_weights",
    "ponder",
    "ponder_cost",
    "select",
    "skip_halted",
    "steps_taken",
]
