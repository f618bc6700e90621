"""Parameters of fci_bridge_node."""

from dataclasses import dataclass

from soft_flow_contract.graph_node import parameter


@dataclass(frozen=True)
class FciBridgeParameters:
    """Parameters of fci_bridge_node."""

    robot_file: str = parameter("config/robots/fr3_orca_right.yaml", "robot cell (YAML)")
    autostart: bool = parameter(True, "configure, wait for the arm and activate at the start")
    connect_timeout: float = parameter(
        30.0, "s for which autostart waits for the arm before it gives up", 0.5, 3600.0
    )
    state_rate: float = parameter(200.0, "states and references a second (Hz)", 100.0, 1000.0)
    command_watchdog: bool = parameter(
        True, "missing commands are a fault; false only to show that a test of it can fail"
    )
    time_scale: float = parameter(
        1.0, "wall seconds for one of the arm's (rates and times alike): 2 at half speed", 0.1, 100.0
    )
    interpolation_time: float = parameter(
        0.05, "s over which the arm is led to a target: the control tick", 0.005, 1.0
    )
