"""A driver whose states have stopped is found out at the next release, though the observation was whole."""

from pathlib import Path

import pytest
from arbiter_maker import DT, SPECIFICATION, START, action, begin_policy, feed

from soft_flow_episode.arbiter import Arbiter
from soft_flow_episode.emergency_latch import EmergencyLatch
from soft_flow_episode.state_freshness import StateFreshness

MS = 1_000_000
POSE, JOINTS = "arm/current_pose", "hand/joint_states"
PHASE = SPECIFICATION.phase_ns


@pytest.fixture
def fresh() -> StateFreshness:
    freshness = StateFreshness(max_age=0.04)
    for source in (POSE, JOINTS):
        freshness.watch(source)
    return freshness


def test_each_source_must_have_come_and_be_young_enough(fresh: StateFreshness) -> None:
    assert f"{POSE}: no state has come" in fresh.problem(1000 * MS)
    fresh.hear(POSE, 1000 * MS, 1001 * MS)
    assert f"{JOINTS}: no state has come" in fresh.problem(1000 * MS)
    fresh.hear(JOINTS, 990 * MS, 1001 * MS)
    assert fresh.problem(1030 * MS) == ""
    assert fresh.problem(1031 * MS).startswith(f"{JOINTS}: newest state is 41 ms old, limit 40 ms")


def test_stamps_far_ahead_prove_no_life_and_the_clock_is_named(fresh: StateFreshness) -> None:
    fresh.hear(JOINTS, 1040 * MS, 1000 * MS)
    fresh.hear(POSE, 1041 * MS, 1000 * MS)
    assert fresh.problem(1040 * MS).startswith(f"{POSE}: stamped 41 ms ahead of this computer's clock")
    fresh.hear(POSE, 1000 * MS, 1000 * MS)
    assert fresh.problem(1040 * MS) == ""


def test_after_a_clock_was_set_back_the_new_stamps_count(fresh: StateFreshness) -> None:
    for now in (5000 * MS, 1000 * MS):
        for source in (POSE, JOINTS):
            fresh.hear(source, now, now)
    assert fresh.problem(1040 * MS) == ""
    assert fresh.problem(1041 * MS)


def test_without_drivers_nothing_is_asked() -> None:
    assert StateFreshness().problem(1000 * MS) == ""


def test_a_command_is_held_when_a_state_is_old_at_its_release_and_goes_on_when_it_is_not(
    latch_file: Path,
) -> None:
    arbiter = Arbiter(SPECIFICATION, EmergencyLatch(latch_file), state_max_age=0.04)
    arbiter.freshness.watch(JOINTS)
    begin_policy(arbiter, action(0.1))
    arbiter.freshness.hear(JOINTS, START + PHASE - 40 * MS, START)
    assert not feed(arbiter, 0).held
    held = feed(arbiter, 1)
    assert held.held and held.missed and JOINTS in held.reason
    arbiter.freshness.hear(JOINTS, START + 2 * DT, START + 2 * DT)
    assert not feed(arbiter, 2).held
