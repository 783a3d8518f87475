"""Variational autoencoders of glimpses (the appearance of objects) and of whole images (the background).

Objects are rendered over the background, whose few latents prevent it from explaining the objects.

Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes"; sizes as in Eslami et al. 2016.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from inverse_graphics.distributions.normal import Gaussian


class GlimpseEncoder(nn.Module):
    """Encodes the contents of windows, images (B, G, G), as a posterior over appearances (B, D)."""

    def __init__(self, size: int, hidden: int, what: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size * size, hidden)
        self.posterior = nn.Linear(hidden, 2 * what)

    def forward(self, glimpses: Tensor) -> Gaussian:
        """Compute the posterior of each glimpse's appearance."""
        mean, raw_std = self.posterior(torch.relu(self.hidden(glimpses.flatten(1)))).chunk(2, -1)
        return Gaussian(mean, softplus(raw_std))


class GlimpseDecoder(nn.Module):
    """Decodes appearances (B, D) to images (B, G, G) in [0, 1].

    Args:
        size: G.
        hidden: units.
        what: D.
        bias: initial logit of every grey level; with dark initial images the first objects do not reduce the
            likelihood much.
    """

    def __init__(self, size: int, hidden: int, what: int, bias: float) -> None:
        super().__init__()
        self.size = size
        self.hidden = nn.Linear(what, hidden)
        self.image = nn.Linear(hidden, size * size)
        nn.init.constant_(self.image.bias, bias)

    def forward(self, what: Tensor) -> Tensor:
        """Decode each appearance to an image."""
        logits = self.image(torch.relu(self.hidden(what)))
        return torch.sigmoid(logits).view(-1, self.size, self.size)


class BackgroundSettings(BaseModel):
    """Sizes of the background's encoder and decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latents: int = Field(8, ge=1, le=1024, description="dimensions of the background's code")
    hidden: int = Field(256, ge=1, le=4096, description="units of its encoder and of its decoder")
    bias: float = Field(-1.0, ge=-20, le=20, description="initial logit of its grey levels")


class Background(nn.Module):
    """Infers and renders the background of images (B, S, S)."""

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
        """Compute the posterior of each image's background code: (B, D)."""
        mean, raw_std = self.encode(images.flatten(1)).chunk(2, -1)
        return Gaussian(mean, softplus(raw_std))

    def render(self, codes: Tensor) -> Tensor:
        """Render backgrounds (B, S, S) in [0, 1].

        Args:
            codes: (B, D).
        """
        return torch.sigmoid(self.decode(codes)).view(-1, self.size, self.size)
