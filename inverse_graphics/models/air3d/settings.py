"""Sizes of the 3D model, and the scenes that it believes in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from inverse_graphics.families.families import AnyFamilySettings

Channels = Annotated[int, Field(ge=4, le=1024)]


class Air3DSettings(BaseModel):
    """Which scenes there are (the prior), how noisy images of them are, and the network's sizes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["air3d"] = "air3d"
    family: AnyFamilySettings = Field(description="the prior over scenes")
    sigma: float = Field(0.05, gt=0, le=10, description="standard deviation of pixel noise, grey levels")
    state: Literal["canvas", "recurrent"] = Field(
        "canvas", description="what a step knows of those before: their picture, or units told of them"
    )
    channels: tuple[Channels, Channels, Channels] = (32, 48, 96)
    hidden: int = Field(256, ge=1, le=4096, description="units between what a step sees and what it says")
    components: int = Field(4, ge=1, le=64, description="of the mixture over an object's turn")
    presence_bias: float = Field(2.0, ge=-20, le=20, description="logit of presence at the start")
    activation: Literal["relu", "silu"] = Field(
        "relu", description="of what a glimpse tells; silu, behind the norm, cannot die: rotations need it"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of convolutions in training; a run resolves auto, which elsewhere is float32"
    )
