"""A pre-activation residual unit whose branch is computed where something is alive.

Source: He et al. 2016, "Identity Mappings in Deep Residual Networks"; without a mask where the map is halved.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, relu


class ResidualUnit(nn.Module):
    """u + F(u), F: norm, ReLU, 3×3 convolution, norm, ReLU, 3×3 convolution.

    stride: 2 halves the map.  Where the unit widens, what is carried past F is averaged over the stride and
    gets channels of zeros on both sides, so that it has no weights.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.more = stride, outputs - inputs
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        for convolution in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor, active: Tensor | None = None) -> Tensor:
        """(B, outputs, H, W) of (B, inputs, H, W).

        active: (B, H, W) bool; elsewhere the features are copied.  None: everywhere.
        """
        inner = self.conv1(relu(self.norm1(features)))
        branch = self.conv2(relu(self.norm2(inner)))
        if active is not None:
            branch = branch * active[:, None]
        return self._carried(features) + branch

    def _carried(self, features: Tensor) -> Tensor:
        if self.stride > 1:
            features = avg_pool2d(features, self.stride)
        before = self.more // 2
        return pad(features, (0, 0, 0, 0, before, self.more - before)) if self.more else features
