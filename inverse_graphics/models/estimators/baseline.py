"""A network that predicts what a drawn count will be worth, from the image and the latents so far."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inverse_graphics.models.air import Inference
from inverse_graphics.models.estimators.score_function import REWARD_SCALE


class NeuralBaseline(nn.Module):
    """A recurrent network beside the model's own; a `Baseline`.

    pixels: numbers in an image.  latents: numbers in `latents_of` an object.
    Source: Eslami et al. 2016, section 2.3; Mnih and Gregor 2014.
    """

    def __init__(self, pixels: int, latents: int, hidden: int) -> None:
        super().__init__()
        self.see = nn.Linear(pixels, hidden)
        self.recur = nn.LSTMCell(hidden + latents, hidden)
        self.predict = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.latents = latents

    def forward(self, images: Tensor, inference: Inference) -> Tensor:
        """Rewards predicted before each step: (B, N), nats.  Learns nothing through the latents."""
        seen = torch.relu(self.see(images.flatten(1)))
        before = images.new_zeros(len(images), self.latents)
        state, predictions = None, []
        for step in inference.objects:
            state = self.recur(torch.cat([seen, before], -1), state)
            predictions.append(REWARD_SCALE * self.predict(state[0])[:, 0])
            before = torch.cat([step.latents.where, step.latents.what], -1).detach()
        return torch.stack(predictions, dim=-1)
