import pytest

from soft_flow_sim.realtime_pacing import RealtimePacing

MS = 1_000_000


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_a_stamp_is_due_when_the_wall_clock_has_run_its_time_divided_by_the_factor(factor: float) -> None:
    pacing = RealtimePacing(factor, 25 * MS)
    pacing.anchor(1000 * MS, 0)
    assert pacing.remaining(1100 * MS, 0) == round(100 * MS / factor)


def test_a_small_delay_is_made_up_and_a_large_one_moves_the_anchor() -> None:
    pacing = RealtimePacing(1.0, 25 * MS)
    pacing.anchor(0, 0)
    assert pacing.remaining(50 * MS, 60 * MS) == 0
    assert pacing.remaining(100 * MS, 60 * MS) == 40 * MS
    assert pacing.remaining(150 * MS, 250 * MS) == 0
    assert pacing.remaining(200 * MS, 250 * MS) == 50 * MS
    assert (pacing.slips, pacing.lost_ns) == (1, 100 * MS)
