"""From maps to numbers: where the next object is in the picture, and everything else that is said of it.

Numbers are computed in float32 whatever the maps were computed in: places need more than eight bits.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from inverse_graphics.models.air3d.features import STRIDE, Maps, Normed

AGREEING = 1.5
"""Cells; two votes no farther apart are for the same place."""


class CameraNumbers(NamedTuple):
    """centre: (B, 3), logits of where in its range each number of the orbit is.  raw_std: (B, 3)."""

    centre: Tensor
    raw_std: Tensor


class CameraHead(nn.Module):
    """Reads azimuth, elevation and distance off the whole coarse map."""

    SQUEEZED = 16

    def __init__(self, channels: int, cells: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, self.SQUEEZED, 1)
        self.hidden = nn.Linear(self.SQUEEZED * cells, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.say = _quiet(nn.Linear(hidden, 6))

    def forward(self, maps: Maps) -> CameraNumbers:
        """maps: of the image."""
        squeezed = torch.relu(self.squeeze(maps.coarse.float())).flatten(1)
        hidden = self.norm(torch.relu(self.hidden(squeezed)))
        return CameraNumbers(*self.say(hidden).chunk(2, dim=-1))


class ObjectNumbers(NamedTuple):
    """What a step says of the next object, unbounded unless noted.

    pixel: (B, 2), column and row of its origin in the picture, pixels.  presence: (B,), logit.
    identity: (B, K), logits.  raw_std: (B, 2), of its position.  turn: (B, T), the turn's parameters.
    """

    pixel: Tensor
    presence: Tensor
    identity: Tensor
    raw_std: Tensor
    turn: Tensor


class Place(NamedTuple):
    """Where the next object is, if there is one.

    pixel: (B, 2), column and row of its origin in the picture.  presence: (B,), logit.  raw_std: (B, 2).
    seen: (B, F), what is seen there and all around.
    """

    pixel: Tensor
    presence: Tensor
    raw_std: Tensor
    seen: Tensor


class PlaceHead(nn.Module):
    """Looks at one place in the picture, softly, and at all of it, coarsely.

    The place is an attention over the fine map's cells; each cell votes for where the origin lies from it.
    What is seen is the attended features and the coarse map's mean and maximum. Once trained, only cells
    count that vote for the place of the most attended one: between two objects just as near there is none.
    Where there are never `several` objects, all cells go on to count.
    """

    def __init__(self, fine: int, coarse: int, hidden: int, presence: float, several: bool = True) -> None:
        super().__init__()
        self.several = several
        self.vote = nn.Conv2d(fine, 3, 1)  # attention's logit, then the offset in cells
        self.hidden = nn.Linear(fine + 2 * coarse + 4, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.say = _quiet(nn.Linear(hidden, 3))
        with torch.no_grad():
            self.say.bias[0] = presence

    def forward(self, maps: Maps, view: Tensor) -> Place:
        """view: (B, 2), cosine and sine of the camera's azimuth."""
        fine, coarse = maps.fine.float(), maps.coarse.float().flatten(2)
        votes = self.vote(fine)
        attention = torch.softmax(votes[:, 0].flatten(1), dim=-1)  # (B, cells)
        places = (_centres(votes) + votes[:, 1:]).flatten(2)
        if self.several and not self.training:
            attention = _of_one_mind(attention, places)
        cell = (places * attention[:, None]).sum(-1)
        local = torch.einsum("bcn,bn->bc", fine.flatten(2), attention)
        around = [coarse.mean(-1), coarse.amax(-1), 2 * cell / votes.shape[-1] - 1, view]
        seen = self.norm(torch.relu(self.hidden(torch.cat([local, *around], dim=-1))))
        said = self.say(seen)
        return Place(cell * STRIDE, said[:, 0], said[:, 1:], seen)


class ObjectHead(nn.Module):
    """Says which object it is and how it is turned, from a glimpse of it.

    What is seen around it is shown too, but not taught by this: a place to a tenth of a pixel has gradients a
    hundred times as large as a turn has, and features learnt for both are learnt for the place alone.
    """

    def __init__(
        self, seen: int, glimpse: int, hidden: int, kinds: int, turn: int, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(seen + glimpse, hidden)
        self.norm = Normed(hidden, activation)
        self.sizes = [kinds, turn]
        self.say = _quiet(nn.Linear(hidden, sum(self.sizes)))

    def forward(self, place: Place, glimpse: Tensor) -> ObjectNumbers:
        """glimpse: (B, G), features of the picture around the place."""
        hidden = self.norm(self.hidden(torch.cat([place.seen.detach(), glimpse], dim=-1)))
        identity, turn = self.say(hidden).split(self.sizes, dim=-1)
        return ObjectNumbers(place.pixel, place.presence, identity, place.raw_std, turn)


def _of_one_mind(attention: Tensor, places: Tensor) -> Tensor:
    """Attention (B, cells) to those cells alone whose `places` (B, 2, cells) agree with that of the first."""
    first = attention.argmax(-1)[:, None, None].expand(-1, 2, 1)
    apart = (places - places.gather(2, first)).square().sum(1)
    agreeing = attention * (apart <= AGREEING**2)
    return agreeing / agreeing.sum(-1, keepdim=True)


def _quiet(layer: nn.Linear) -> nn.Linear:
    """Start by saying little."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
    return layer


def _centres(like: Tensor) -> Tensor:
    """Column and row of each cell's centre, in cells: (2, h, w)."""
    height, width = like.shape[-2:]
    down = torch.arange(height, device=like.device, dtype=like.dtype) + 0.5
    right = torch.arange(width, device=like.device, dtype=like.dtype) + 0.5
    row, column = torch.meshgrid(down, right, indexing="ij")
    return torch.stack([column, row])
