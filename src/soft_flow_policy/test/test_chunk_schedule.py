import numpy as np

from soft_flow_policy.chunk_schedule import ChunkSchedule, Epoch, sampling_noise

DT = 50_000_000


def stamps_planned(schedule: ChunkSchedule, stamps: list[int]) -> list[int]:
    planned = []
    for tick in stamps:
        schedule.observe(tick * DT)
        if schedule.is_due():
            schedule.planned()
            planned.append(tick)
    return planned


def test_a_chunk_is_planned_whenever_the_executed_steps_have_passed() -> None:
    schedule = ChunkSchedule(DT, 8)
    schedule.enter_epoch(Epoch(1, 20 * DT))
    assert stamps_planned(schedule, list(range(18, 40))) == [20, 28, 36]


def test_nothing_is_planned_before_the_epoch_is_known() -> None:
    assert stamps_planned(ChunkSchedule(DT, 8), list(range(10))) == []


def test_a_new_epoch_is_planned_for_from_the_newest_observation_that_is_not_older() -> None:
    schedule = ChunkSchedule(DT, 8)
    schedule.enter_epoch(Epoch(1, 0))
    assert stamps_planned(schedule, [0, 1, 2]) == [0]
    schedule.enter_epoch(Epoch(2, 2 * DT))  # arrives after the observation at its start
    assert schedule.is_due()
    schedule.planned()
    assert not schedule.is_due()
    schedule.enter_epoch(Epoch(3, 5 * DT))
    assert not schedule.is_due()
    assert stamps_planned(schedule, [3, 4, 5, 6]) == [5]


def test_a_jump_of_the_stamps_is_planned_for() -> None:
    schedule = ChunkSchedule(DT, 8)
    schedule.enter_epoch(Epoch(1, 0))
    assert stamps_planned(schedule, [0, 1, 2, 5, 6, 12, 13]) == [0, 5, 12]


def test_the_same_observation_is_planned_for_once() -> None:
    schedule = ChunkSchedule(DT, 8)
    schedule.enter_epoch(Epoch(1, 0))
    assert stamps_planned(schedule, [0, 0]) == [0]


def test_noise_is_a_function_of_seed_and_stamp_alone() -> None:
    assert np.array_equal(sampling_noise(1, DT, 16, 23), sampling_noise(1, DT, 16, 23))
    assert not np.array_equal(sampling_noise(1, DT, 16, 23), sampling_noise(1, 2 * DT, 16, 23))
    assert not np.array_equal(sampling_noise(1, DT, 16, 23), sampling_noise(2, DT, 16, 23))
    many = np.stack([sampling_noise(0, k * DT, 16, 23) for k in range(100)])
    assert abs(many.mean()) < 0.02 and abs(many.std() - 1) < 0.02
