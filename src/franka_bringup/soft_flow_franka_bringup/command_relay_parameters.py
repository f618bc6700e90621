"""Parameters of command_relay_node."""

from dataclasses import dataclass

from soft_flow_contract.graph_node import parameter


@dataclass(frozen=True)
class CommandRelayParameters:
    """Parameters of command_relay_node."""

    robot_file: str = parameter("config/robots/fr3_orca_right.yaml", "robot cell (YAML)")
    command_watchdog: bool = parameter(
        True, "missing commands are a fault; false only to show that a test of it can fail"
    )
    time_scale: float = parameter(
        1.0, "wall seconds for one of the arm's: 2 for a simulated arm at half speed", 0.1, 100.0
    )
    interpolation_time: float = parameter(
        0.05, "s over which the arm is led to a target: the control tick", 0.005, 1.0
    )
    max_lag: float = parameter(0.12, "m of the flange behind its target that are a fault", 0.02, 0.5)
    max_lag_angle: float = parameter(0.8, "rad of it that are a fault", 0.1, 3.0)
