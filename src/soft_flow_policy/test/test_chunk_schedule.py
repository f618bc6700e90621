import numpy as np

from soft_flow_policy.chunk_schedule import ChunkCounter, ChunkSchedule, Epoch, sampling_noise

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


def test_candidates_have_noise_of_their_own_and_the_first_is_that_of_a_single_one() -> None:
    single = sampling_noise(1, DT, 16, 23)
    assert np.array_equal(sampling_noise(1, DT, 16, 23, candidate=0), single)
    # What versions without candidates drew: old seeds keep their chunks.
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([1, DT])))
    assert np.array_equal(single, generator.standard_normal((16, 23), dtype=np.float32))
    drawn = [sampling_noise(1, tick * DT, 16, 23, candidate) for tick in range(4) for candidate in range(64)]
    assert len({noise.tobytes() for noise in drawn}) == 4 * 64


def test_chunks_are_numbered_within_their_epoch() -> None:
    counter = ChunkCounter()
    assert [counter.next(epoch) for epoch in (3, 3, 4, 5, 5)] == [1, 2, 1, 1, 2]
