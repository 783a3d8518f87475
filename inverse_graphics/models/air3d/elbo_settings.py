"""How learning from unlabelled images is set up."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ElboSettings(BaseModel):
    """Learning from images alone.

    warm_up_steps: until then objects learn from every prefix, likelihoods are tempered by T, falling from
    `first_temperature` to 1, and compared at `levels` scales; from then on, the bound is what it is.
    wake: weight of the wake update beside the bound, whose likelihood is tempered alike.  samples, defence:
    tries for each image, and with which probability each part of one is drawn from the prior; the latter
    falls to zero over the warm-up, and for kinds it begins at one.
    kept, refine_steps: how many of an image's tries are improved by gradient ascent, and by how many steps,
    before the one that is learnt from is drawn from them.  turn_steps: by how many more, with each of its
    objects tried turned by halves (upright ones: by quarters), 0 if not.  remembered, memory: how many images
    that were searched before are learnt from again beside each new one, and out of how many.
    robust: share of the posterior that is drawn from anywhere where it learns from tries: a wrong one then
    teaches nothing once the right answer is believed.
    tie_m: of objects whose depths differ by less, any may be told first where it learns from tries.
    bound_in_warm_up: whether the tempered bound is climbed from the first step, or only after the warm-up.
    identity: how the bound teaches kinds: not at all ("wake": the wake update alone does), or by trying every
    kind where an object was drawn ("local").
    leeway_nats: an image that is explained by so many nats worse than noise alone would is tempered by 2, one
    by three times as many by 4, and so on: else the few that are read wrong pull harder than all others.
    bound_samples: S; with more than one, the bound is that of S samples, each weighed by how well it explains
    the image (Burda et al. 2016): one that is in the wrong hollow then pulls nowhere.
    overlap_nats_per_m: how much objects that cut into each other cost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["elbo"] = "elbo"
    warm_up_steps: int = Field(4000, ge=0)
    first_temperature: float = Field(1000.0, ge=1, le=1e6)
    levels: int = Field(4, ge=1, le=8)
    wake: float = Field(1.0, ge=0, le=1000)
    samples: int = Field(8, ge=1, le=1024)
    defence: float = Field(0.3, ge=0, lt=1)
    kept: int = Field(1, ge=1, le=1024)
    refine_steps: int = Field(0, ge=0, le=1000)
    turn_steps: int = Field(0, ge=0, le=1000)
    remembered: int = Field(0, ge=0, le=64)
    memory: int = Field(2048, ge=1, le=1_000_000)
    robust: float = Field(0.0, ge=0, lt=1)
    tie_m: float = Field(0.05, ge=0, le=10)
    bound_in_warm_up: bool = True
    identity: Literal["wake", "local"] = "wake"
    bound_samples: int = Field(1, ge=1, le=64)
    leeway_nats: float | None = Field(None, gt=0)
    overlap_nats_per_m: float = Field(1000.0, ge=0)

    def progress(self, step: int) -> float:
        """How much of the warm-up is over, from 0 to 1."""
        return 1.0 if step >= self.warm_up_steps else step / self.warm_up_steps

    def kinds_tried(self, step: int) -> float:
        """How often kinds are drawn from all alike, after `step` steps."""
        return 1 - self.progress(step)

    def temperature(self, step: int) -> float:
        """T after `step` steps."""
        return float(self.first_temperature ** (1 - self.progress(step)))
