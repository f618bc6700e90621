import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.environments import register_environments
from soft_flow_sim.scissors_environment import ScissorsEnvironment
from soft_flow_sim.scripted_device import ScriptedDevice
from soft_flow_teleop.device import DeviceError, Moment


def test_gymnasium_makes_it_by_name_and_its_checker_passes() -> None:
    register_environments()
    environment = gymnasium.make("SoftFlow/Scissors-v0", render_mode="rgb_array").unwrapped
    check_env(environment)
    environment.close()


def test_the_scripted_device_cuts_the_tape_through_the_environment(specification: TaskSpecification) -> None:
    environment = ScissorsEnvironment(specification, images=False)
    device = ScriptedDevice.open(specification, {"misjudges": "false"})
    observation, _ = environment.reset(seed=11)
    device.reset("episode", 11)
    steps, reward, over = 0, 0.0, False
    while not over:
        sight = environment.sight()
        stamp, seen = steps * specification.dt_ns, observation["proprioception"]
        moment = Moment(stamp, sight.measured, sight.target, seen, sight.simulation)
        action = device.read(moment)
        assert action.deadman
        observation, reward, terminated, truncated, info = environment.step(action.values)
        np.testing.assert_allclose(
            observation["proprioception"][specification.proprioception_slices["last_action"]],
            info["executed_action"],
            atol=1e-6,
        )
        steps, over = steps + 1, terminated or truncated
    assert (reward, terminated, info["success"], info["grasped"]) == (1.0, True, True, True)
    with pytest.raises(RuntimeError, match="reset"):
        environment.step(action.values)


def test_the_device_refuses_options_it_does_not_know(specification: TaskSpecification) -> None:
    with pytest.raises(DeviceError, match="unknown option \\['skill'\\]"):
        ScriptedDevice.open(specification, {"skill": "high"})
    with pytest.raises(DeviceError, match="true or false"):
        ScriptedDevice.open(specification, {"misjudges": "no"})


def test_the_device_says_that_it_needs_the_simulator(specification: TaskSpecification) -> None:
    environment = ScissorsEnvironment(specification, images=False)
    observation, _ = environment.reset(seed=0)
    here = environment.sight().measured
    device = ScriptedDevice.open(specification, {})
    with pytest.raises(DeviceError, match="simulation/state"):
        device.read(Moment(0, here, here, observation["proprioception"], {}))
