"""The state machine of the drivers: what latches, what outweighs what, and when the watchdog is armed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soft_flow_contract.driver_machine import DriverMachine, DriverState

TIMEOUT = 0.15


@pytest.fixture
def machine() -> DriverMachine:
    machine = DriverMachine(TIMEOUT)
    machine.activate()
    machine.emergency_stop(False)
    return machine


def test_nothing_is_followed_before_activation() -> None:
    machine = DriverMachine(TIMEOUT)
    machine.emergency_stop(False)
    assert (machine.state, machine.follows) == (DriverState.INACTIVE, False)


def test_an_emergency_stop_that_was_not_heard_counts_as_pressed() -> None:
    machine = DriverMachine(TIMEOUT)
    machine.activate()
    assert machine.state is DriverState.STOPPED and "not heard" in machine.reason
    machine.emergency_stop(False)
    assert (machine.state, machine.reason) == (DriverState.READY, "")


def test_an_emergency_stop_ends_when_it_is_reset(machine: DriverMachine) -> None:
    machine.emergency_stop(True)
    assert machine.state is DriverState.STOPPED
    machine.emergency_stop(False)
    assert machine.follows


def test_a_fault_outlives_the_emergency_stop_and_ends_by_recovery_alone(machine: DriverMachine) -> None:
    assert machine.fail("collision")
    machine.emergency_stop(True)
    machine.emergency_stop(False)
    assert (machine.state, machine.reason) == (DriverState.FAULT, "collision")
    machine.recover()
    assert machine.follows


def test_the_first_fault_keeps_its_reason(machine: DriverMachine) -> None:
    machine.fail("collision")
    assert not machine.fail("no command")
    assert machine.reason == "collision"


def test_the_watchdog_is_not_armed_before_the_first_command(machine: DriverMachine) -> None:
    assert not machine.watch(1e3)
    machine.accepted(1e3)
    assert not machine.watch(1e3 + TIMEOUT - 0.001)
    assert machine.watch(1e3 + TIMEOUT + 0.001)
    assert machine.state is DriverState.FAULT and "no command" in machine.reason


@pytest.mark.parametrize("end", ["recover", "stop", "activate"])
def test_recovery_emergency_stop_and_activation_disarm_the_watchdog(machine: DriverMachine, end: str) -> None:
    machine.accepted(0.0)
    if end == "recover":
        machine.fail("collision")
        machine.recover()
    elif end == "stop":
        machine.emergency_stop(True)
        machine.emergency_stop(False)
    else:
        machine.deactivate()
        machine.activate()
    assert not machine.watch(100.0) and machine.follows


def test_without_the_watchdog_missing_commands_go_unnoticed() -> None:
    machine = DriverMachine(TIMEOUT, watchdog=False)
    machine.activate()
    machine.emergency_stop(False)
    machine.accepted(0.0)
    assert not machine.watch(1e6) and machine.follows


events = st.lists(
    st.sampled_from(["activate", "deactivate", "press", "release", "fail", "recover", "accepted", "watch"])
)


@given(events)
def test_whatever_happens_commands_are_followed_only_if_active_released_and_without_fault(
    happened: list[str],
) -> None:
    machine, now = DriverMachine(TIMEOUT), 0.0
    active, pressed, faulty = False, True, False
    for event in happened:
        now += 0.1
        if event == "activate":
            machine.activate()
            active, faulty = True, False
        elif event == "deactivate":
            machine.deactivate()
            active = False
        elif event in ("press", "release"):
            pressed = event == "press"
            machine.emergency_stop(pressed)
        elif event == "fail":
            machine.fail("x")
            faulty = faulty or active
        elif event == "recover":
            machine.recover()
            faulty = False
        elif event == "accepted":
            machine.accepted(now)
        else:
            faulty = machine.watch(now) or faulty
        assert machine.follows == (active and not pressed and not faulty)
        assert bool(machine.reason) != machine.follows


def test_commands_that_stay_out_while_the_robot_stands_are_no_loss(machine: DriverMachine) -> None:
    machine.activate()
    machine.emergency_stop(False)
    machine.accepted(0.0)
    for tick in range(1, 40):
        machine.accepted(0.05 * tick, moves=False)
    assert not machine.watch(10.0) and machine.follows
    machine.accepted(10.0)
    assert machine.watch(11.0) and machine.faulty


def test_a_robot_that_was_told_to_stand_a_moment_ago_may_still_move(machine: DriverMachine) -> None:
    machine.activate()
    machine.emergency_stop(False)
    machine.accepted(0.0)
    machine.accepted(0.05, moves=False)
    assert machine.watch(1.0) and machine.faulty
