"""A small residual network whose halting depends on where and on what."""

import torch

from inverse_graphics.models.residual.network import ResidualNetwork, ResidualSettings


def small_network(seed=0, bias=-0.7, **settings):
    """In float64 and evaluation mode, its norms having seen images."""
    chosen = {"image_size": 16, "widths": (3, 4, 6), "units": 4, "classes": 5} | settings
    torch.manual_seed(seed)
    network = ResidualNetwork(ResidualSettings.model_validate(chosen)).double()
    for name, parameter in network.named_parameters():
        if ".halts." in name:
            torch.nn.init.normal_(parameter, bias if name.endswith("bias") else 0.0, 0.4)
        elif parameter.dim() == 1:
            torch.nn.init.normal_(parameter, 0.6, 0.4)
    side = network.settings.image_size
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(16, network.settings.channels, side, side).double())
    return network.eval()


def images(number, size=16, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(number, 1, size, size, generator=generator, dtype=torch.float64)
