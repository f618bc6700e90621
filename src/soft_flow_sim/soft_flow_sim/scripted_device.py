"""The scripted operator as a teleoperation device: it goes through the same graph as a person."""

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import Self

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.scissors_operator import ScissorsOperator, Sight
from soft_flow_teleop.device import DeviceAction, DeviceError, Moment, TeleopDevice


class ScriptedDevice(TeleopDevice):
    """Operates the simulated scissors task by itself; its option ``misjudges`` is ``true`` or ``false``."""

    wants_simulation_state: ClassVar[bool] = True

    def __init__(self, operator: ScissorsOperator) -> None:
        self._operator = operator

    @classmethod
    def open(cls, specification: TaskSpecification, options: Mapping[str, str]) -> Self:
        """See TeleopDevice.open."""
        unknown = set(options) - {"misjudges"}
        if unknown:
            raise DeviceError(
                f"device 'scripted': unknown option {sorted(unknown)}; it knows misjudges=true|false"
            )
        misjudges = options.get("misjudges", "true")
        if misjudges not in ("true", "false"):
            raise DeviceError(f"device 'scripted': misjudges should be true or false, got '{misjudges}'")
        if specification.task != "scissors":
            raise DeviceError(f"device 'scripted' operates the task 'scissors', not '{specification.task}'")
        return cls(ScissorsOperator(specification, misjudges == "true"))

    def reset(self, episode_id: str, seed: int) -> None:
        """See TeleopDevice.reset."""
        self._operator.reset(seed)

    def read(self, moment: Moment) -> DeviceAction:
        """See TeleopDevice.read.

        Raises:
            DeviceError: the world's true state is missing.
        """
        if not moment.simulation:
            raise DeviceError("device 'scripted' needs simulation/state, which only the simulator publishes")
        sight = Sight(moment.measured, moment.target, moment.simulation)
        return DeviceAction(self._operator.act(sight), deadman=True)
