import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soft_flow_franka_bringup.joint_limits import FR3, LIMITS, PANDA, JointLimits

MARGIN = 0.05
shares = st.tuples(*[st.floats(0.0, 1.0)] * 7)
speeds = st.tuples(*[st.floats(-2.0, 2.0)] * 7)


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_every_joint_has_a_range_that_holds_the_usual_home(limits: JointLimits) -> None:
    home = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
    assert np.all(limits.low < home) and np.all(home < limits.high)


@given(shares, speeds)
def test_a_joint_is_named_if_and_only_if_it_is_near_an_end_and_moves_towards_it(
    share: tuple[float, ...], speed: tuple[float, ...]
) -> None:
    position = FR3.low + np.array(share) * (FR3.high - FR3.low)
    velocity = np.array(speed)
    towards = [
        (p < low + MARGIN and v < -0.01) or (p > high - MARGIN and v > 0.01)
        for p, v, low, high in zip(position, velocity, FR3.low, FR3.high, strict=True)
    ]
    approached = FR3.approached(position, velocity, MARGIN)
    assert bool(approached) == any(towards)
    if approached:
        assert f"joint {towards.index(True) + 1} " in approached


def test_at_its_end_a_joint_may_move_away() -> None:
    position = PANDA.high.copy()
    assert PANDA.approached(position, np.full(7, -0.5), MARGIN) == ""
    assert "joint 1" in PANDA.approached(position, np.full(7, 0.5), MARGIN)
