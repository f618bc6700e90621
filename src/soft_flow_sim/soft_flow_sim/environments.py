"""Registers the Gymnasium environments; Gymnasium calls it through the entry point ``gymnasium.envs``."""

import gymnasium


def register_environments() -> None:
    """Registers ``SoftFlow/Scissors-v0``, once."""
    if "SoftFlow/Scissors-v0" not in gymnasium.registry:
        gymnasium.register(
            id="SoftFlow/Scissors-v0",
            entry_point="soft_flow_sim.scissors_environment:ScissorsEnvironment",
        )
