"""Devices of tensors: names are checked before work begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inverse_graphics.errors import DeviceError

if TYPE_CHECKING:
    import torch


def available_devices() -> list[str]:
    """The devices of this machine that PyTorch can compute on, the CPU first."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *(f"cuda:{index}" for index in range(gpus))]


def resolve_device(name: str | torch.device) -> torch.device:
    """Convert a name to a device of this machine.

    Args:
        name: "cpu", "cuda" (the first GPU) or "cuda:N", or a device.

    Returns:
        The device, a GPU with its index.

    Raises:
        DeviceError: this machine has no such device, or the name is not a device's.
    """
    import torch

    text = "cuda:0" if str(name) == "cuda" else str(name)
    here = available_devices()
    if text in here:
        return torch.device(text)
    advice = (
        "choose one of them" if len(here) > 1 else "use cpu; `inverse-graphics doctor` says what cuda needs"
    )
    raise DeviceError(f"no device {str(name)[:40]!r}: this machine has {', '.join(here)}; {advice}")
