"""Parameters of command_arbiter_node."""

from dataclasses import dataclass

from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import parameter

DRIVERS = ("arm", "hand")


@dataclass(frozen=True)
class ArbiterParameters:
    """Parameters of the node."""

    task_file: str = parameter("config/tasks/scissors.yaml", "task specification (YAML)")
    lockstep: bool = parameter(False, "answer every observation, driven by messages; False: by the ROS clock")
    latch_file: str = parameter(
        "",
        "file that remembers an emergency stop; empty: soft_flow/emergency_stop.json in ROS_HOME or ~/.ros",
    )
    base_frame: str = parameter("base", "frame_id of arm targets")
    robot_file: str = parameter("", "cell (YAML) whose start go_to_start drives to; empty: no such action")
    drivers: str = parameter(
        "", "drivers without which nothing is armed: arm,hand; empty: a simulated robot without drivers"
    )
    observation_timeout: float = parameter(
        0.0, "s without an observation before it holds (real time); 0: as the task says", 0.0, 1.0
    )
    state_max_age: float = parameter(
        0.0,
        "s by which a driver's newest state may be older than the command that is released; 0: not asked",
        0.0,
        1.0,
    )
    heartbeat_ticks: int = parameter(
        2,
        "ticks after which the policy's heartbeat is missing (real time); 1: it is due in every tick",
        1,
        20,
    )
    policy_watchdog: bool = parameter(
        True, "hold when the policy's heartbeat stays out; False: to show that a test of it can fail"
    )
    driver_timeout: float = parameter(
        3.0, "s (steady clock) after which a driver that says nothing is missing", 0.5, 60.0
    )

    @property
    def driver_names(self) -> list[str]:
        """`drivers`, taken apart.

        Raises:
            ContractError: there is no such driver.
        """
        wanted = [name.strip() for name in self.drivers.split(",") if name.strip()]
        if unknown := set(wanted) - set(DRIVERS):
            raise ContractError(f"parameter drivers: unknown {sorted(unknown)}; known: {', '.join(DRIVERS)}")
        return wanted
