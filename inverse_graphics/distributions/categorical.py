"""One of K kinds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Categorical(NamedTuple):
    """log_probs: (..., K), normalised, nats."""

    log_probs: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of `value` (...), int64: (...), nats."""
        return self.log_probs.gather(-1, value[..., None])[..., 0]

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one kind: (...), int64; carries no gradient."""
        flat = self.log_probs.detach().exp().reshape(-1, self.log_probs.shape[-1])
        drawn = torch.multinomial(flat, 1, generator=generator)[:, 0]
        return drawn.reshape(self.log_probs.shape[:-1])

    def anywhere(self, generator: torch.Generator) -> Tensor:
        """Draw any kind, all alike: (...), int64."""
        shape, kinds = self.log_probs.shape[:-1], self.log_probs.shape[-1]
        return torch.randint(kinds, shape, generator=generator, device=self.log_probs.device)

    def log_uniform(self) -> Tensor:
        """Log-probability of each kind where all are alike: (), nats."""
        return -torch.log(self.log_probs.new_tensor(float(self.log_probs.shape[-1])))

    def centre(self) -> Tensor:
        """The most probable kind: (...), int64."""
        return self.log_probs.argmax(-1)
