"""Configuration of the policy. Unknown keys are refused by name (see `StrictModel`)."""

from typing import Annotated

from pydantic import Field

from soft_flow_contract.strict_model import YamlModel
from soft_flow_policy.flow import FlowConfig
from soft_flow_policy.image_encoder import ImageEncoderConfig


class FlowPolicyConfig(YamlModel):
    """Everything that decides the policy's network; together with the task specification it rebuilds it."""

    flow: FlowConfig = FlowConfig()
    image: ImageEncoderConfig = ImageEncoderConfig()
    context_width: Annotated[int, Field(ge=8)] = 128  # of the vector that conditions the flow
    proprioception_fields: tuple[str, ...] | None = None  # None: all but velocities and the last action
    cameras: tuple[str, ...] | None = None  # None: all of the task; (): a policy without images
    dequantization: Annotated[float, Field(ge=0)] = 0.05  # sigma of the noise on data chunks, model space
    denoising: Annotated[float, Field(ge=0)] = 1.0  # noise taken off samples, in dequantizations
    proprioception_noise: Annotated[float, Field(ge=0)] = 0.0  # in deviations, training only
