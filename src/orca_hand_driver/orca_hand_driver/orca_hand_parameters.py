"""Parameters of orca_hand_node."""

from dataclasses import dataclass

from soft_flow_contract.graph_node import parameter


@dataclass(frozen=True)
class OrcaHandParameters:
    """Parameters of orca_hand_node; what belongs to the hand itself is in the cell's file."""

    robot_file: str = parameter("config/robots/fr3_orca_right.yaml", "robot cell (YAML)")
    autostart: bool = parameter(True, "configure, wait for the hand and activate at the start")
    connect_timeout: float = parameter(
        30.0, "s for which autostart waits for the hand before it gives up", 0.5, 3600.0
    )
    rate: float = parameter(100.0, "cycles a second (Hz): a read of all motors and a write", 10.0, 500.0)
    temperature_period: float = parameter(1.0, "s between looks at the motors' temperatures", 0.1, 60.0)
    silence_limit: float = parameter(
        0.15, "s without a complete answer of the motors that are a fault", 0.05, 2.0
    )
    neutral_speed: float = parameter(0.5, "rad/s of every joint on the way to the neutral pose", 0.05, 2.0)
    calibration_joints: str = parameter(
        "", "joints that hand/calibrate drives, separated by commas; empty: all"
    )
    command_watchdog: bool = parameter(
        True, "missing commands are a fault; false only to show that a test of it can fail"
    )
    time_scale: float = parameter(
        1.0, "wall seconds for one of the hand's (rates and times alike): 2 at half speed", 0.1, 100.0
    )
