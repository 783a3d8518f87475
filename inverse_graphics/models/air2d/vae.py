"""What an object looks like: an encoder from a glimpse to its appearance, and a decoder back.

Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes"; sizes as in Eslami et al. 2016.

What lies behind the objects: a small variational autoencoder of whole images.

Objects are drawn over it; few latents keep it from drawing the objects itself.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from inverse_graphics.distributions.normal import Gaussian


class GlimpseEncoder(nn.Module):
    """What is seen in a window: pictures (B, G, G) to a posterior over appearances (B, D)."""

    def __init__(self, size: int, hidden: int, what: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size * size, hidden)
        self.posterior = nn.Linear(hidden, 2 * what)

    def forward(self, glimpses: Tensor) -> Gaussian:
        """The posterior of each glimpse's appearance."""
        mean, raw_std = self.posterior(torch.relu(self.hidden(glimpses.flatten(1)))).chunk(2, -1)
        return Gaussian(mean, softplus(raw_std))


class GlimpseDecoder(nn.Module):
    """How an object looks: appearances (B, D) to pictures (B, G, G) in [0, 1].

    bias: the logit of every grey level at the start; a dark start keeps first guesses from hurting.
    """

    def __init__(self, size: int, hidden: int, what: int, bias: float) -> None:
        super().__init__()
        self.size = size
        self.hidden = nn.Linear(what, hidden)
        self.picture = nn.Linear(hidden, size * size)
        nn.init.constant_(self.picture.bias, bias)

    def forward(self, what: Tensor) -> Tensor:
        """The picture of each appearance."""
        logits = self.picture(torch.relu(self.hidden(what)))
        return torch.sigmoid(logits).view(-1, self.size, self.size)


class BackgroundSettings(BaseModel):
    """Sizes of the background's coder and decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latents: int = Field(8, ge=1, le=1024, description="dimensions of the background's code")
    hidden: int = Field(256, ge=1, le=4096, description="units of its coder and of its decoder")
    bias: float = Field(-1.0, ge=-20, le=20, description="logit of its grey levels at the start")


class Background(nn.Module):
    """Infers and draws what lies behind the objects of (B, S, S) images."""

    def __init__(self, settings: BackgroundSettings, size: int) -> None:
        super().__init__()
        self.size = size
        self.encode = nn.Sequential(
            nn.Linear(size * size, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, 2 * settings.latents),
        )
        self.decode = nn.Sequential(
            nn.Linear(settings.latents, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, size * size),
        )
        last = self.decode[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, settings.bias)

    def posterior(self, images: Tensor) -> Gaussian:
        """The posterior of each image's background code: (B, D)."""
        mean, raw_std = self.encode(images.flatten(1)).chunk(2, -1)
        return Gaussian(mean, softplus(raw_std))

    def draw(self, codes: Tensor) -> Tensor:
        """The background (B, S, S) of codes (B, D), in [0, 1]."""
        return torch.sigmoid(self.decode(codes)).view(-1, self.size, self.size)
