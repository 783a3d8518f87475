"""Kinds of residual blocks: a rule by which positions halt, and which of them halt together.

| kind | halts by | together | source |
|---|---|---|---|
| plain | nothing: all units run | | He et al. 2016 |
| act | accumulated probabilities | whole image | Graves 2016; Figurnov et al. 2017, section 3.1 |
| sact | accumulated probabilities | position or patch | Figurnov et al. 2017, section 3.2 |
| pact | a draw of the number of units | whole image | Figurnov et al. 2018 |
| psact | a draw of the number of units | position or patch | Figurnov et al. 2018 |
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from inverse_graphics.halting import Accumulated, Halting, Thresholded
from inverse_graphics.models.residual.granularity import Granularity

KindName = Literal["plain", "act", "sact", "pact", "psact"]


class BlockKind(NamedTuple):
    """How a block is run.  halting: None where all units run."""

    halting: Halting | None
    granularity: Granularity

    def by(self, halting: Halting) -> BlockKind:
        """The same positions together, by another rule; a plain block stays plain."""
        return self if self.halting is None else self._replace(halting=halting)


def block_kind(name: KindName, patch: int = 1) -> BlockKind:
    """The kind of that name, with the rule that it is evaluated by.  patch: side, of sact and psact."""
    whole, patches = Granularity(None), Granularity(patch)
    kinds: dict[KindName, BlockKind] = {
        "plain": BlockKind(None, whole),
        "act": BlockKind(Accumulated(), whole),
        "sact": BlockKind(Accumulated(), patches),
        "pact": BlockKind(Thresholded(), whole),
        "psact": BlockKind(Thresholded(), patches),
    }
    return kinds[name]
