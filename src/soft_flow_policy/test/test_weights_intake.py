import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from intake_maker import Intake

from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.inference import InferenceError, InferenceSession, SampledChunks
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.served_policy import PreparedWeights, Sampling, ServedPolicy
from soft_flow_policy.weights import WeightsError, WeightsRecord, record_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, policy: FlowPolicy) -> Path:
    path = tmp_path_factory.mktemp("policy") / "checkpoint"
    return save_checkpoint(path, policy, version=7, step=1, stage="imitation", extra={"run_id": "run"})


@pytest.fixture(scope="module")
def other(policy: FlowPolicy, make_policy: Callable) -> FlowPolicy:
    return make_policy(policy.specification, seed=1)


@pytest.fixture
def intake(folder: Path, policy: FlowPolicy) -> Iterator[Intake]:
    intake = Intake(folder, policy)
    yield intake
    intake.intake.close()


def test_weights_are_taken_over_by_the_next_plan_and_answer_as_their_policy(
    intake: Intake, other: FlowPolicy, tmp_path: Path
) -> None:
    before = intake.plan()
    intake.offer(record_weights(other, "run", 8, published_ns=4_000_000_000))
    assert intake.policy.version == 7
    after = intake.plan()
    assert intake.policy.version == 8 and intake.policy.run_id == "run"
    fresh = save_checkpoint(tmp_path / "fresh", other, version=8, step=1, stage="imitation")
    served = ServedPolicy(str(fresh), Sampling(0, 1.0, True), "torch", None)
    assert np.array_equal(after, served.plan(intake.observation).actions)
    assert not np.array_equal(after, before)
    report = intake.intake.report()
    assert (report["weights_used"], report["weights_publication_to_use_ms"]) == (1, "1000")
    assert not intake.news.get_nowait().refused


def test_of_weights_that_wait_only_the_newest_counts(intake: Intake, other: FlowPolicy) -> None:
    started, go = threading.Event(), threading.Event()
    read: list[int] = []

    def reader(version: int) -> Callable[[], WeightsRecord]:
        def read_it() -> WeightsRecord:
            read.append(version)
            started.set()
            go.wait()
            return record_weights(other, "run", version)

        return read_it

    intake.intake.offer(reader(8))
    started.wait()
    for version in (9, 10, 11):  # arrive while version 8 is at work
        intake.intake.offer(reader(version))
    go.set()
    thread = intake.intake._thread
    assert thread is not None
    thread.join()
    intake.plan()
    assert read == [8, 11] and intake.policy.version == 11


def test_another_run_may_start_from_a_lower_version(intake: Intake, other: FlowPolicy) -> None:
    intake.offer(record_weights(other, "another", 1))
    intake.plan()
    assert (intake.policy.run_id, intake.policy.version) == ("another", 1)


def test_the_run_before_is_left_once_another_one_acts_however_new_its_weights_are(
    intake: Intake, other: FlowPolicy
) -> None:
    intake.offer(record_weights(other, "another", 1))
    intake.offer(record_weights(other, "run", 99))  # while those of the other run wait
    assert "run 'another' has followed that run" in intake.refusal()
    intake.plan()
    intake.offer(record_weights(other, "run", 100))  # sent by a learner that is dead, and late
    assert not intake.news.get(timeout=60).refused
    assert "run 'another' has followed that run" in intake.refusal()
    intake.offer(record_weights(other, "another", 2))
    intake.plan()
    assert (intake.policy.run_id, intake.policy.version) == ("another", 2)


def test_weights_that_come_again_as_they_were_are_no_news(intake: Intake, other: FlowPolicy) -> None:
    again = record_weights(other, "run", 8)
    intake.offer(again, again)
    intake.plan()
    intake.offer(again)
    assert not intake.news.get(timeout=60).refused
    assert intake.news.empty() and intake.intake.report()["weights_refused"] == 0
    intake.plan()
    assert intake.intake.report()["weights_used"] == 1


def test_the_state_tells_which_weights_act_which_are_ready_and_which_were_refused(
    intake: Intake, other: FlowPolicy
) -> None:
    state = intake.intake.state
    assert state().will_fly("run", 7) and not state().will_fly("run", 8)
    intake.offer(record_weights(other, "run", 8))
    assert (state().version, state().next_version) == (7, 8)
    assert state().will_fly("run", 8) and not state().will_fly("another", 8)
    intake.plan()
    assert (state().version, state().next_version) == (8, None) and state().will_fly("run", 8)
    intake.offer(dataclasses.replace(record_weights(other, "run", 9), sha256="0" * 64))
    assert state().refuses("run", 9) and "SHA-256" in state().refusal
    assert not state().refuses("run", 8) and state().will_fly("run", 8)


def test_older_weights_do_not_replace_newer_ones_that_wait(intake: Intake, other: FlowPolicy) -> None:
    intake.offer(record_weights(other, "run", 9))
    intake.offer(record_weights(other, "run", 8))
    assert "not newer than version 9" in intake.refusal()
    intake.plan()
    assert intake.policy.version == 9


BAD: dict[str, Callable[[WeightsRecord], WeightsRecord]] = {
    "not newer than version 7": lambda good: dataclasses.replace(good, version=7),
    "not newer than version 7, ": lambda good: dataclasses.replace(good, version=3),
    "specification 000000000000, expected": lambda good: dataclasses.replace(
        good, specification_hash="0" * 64
    ),
    "SHA-256: expected": lambda good: dataclasses.replace(good, sha256="0" * 64),
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_weights_are_refused_with_the_reason_and_the_old_ones_stay(
    intake: Intake, other: FlowPolicy, reason: str
) -> None:
    before = intake.plan()
    bad = BAD[reason](record_weights(other, "run", 8))
    intake.offer(bad)
    text = intake.refusal()
    assert reason in text and f"version {bad.version} of run 'run'" in text
    assert np.array_equal(intake.plan(), before) and intake.policy.version == 7
    report = intake.intake.report()
    assert (report["weights_refused"], report["weights_last_refusal"]) == (1, text)


def test_weights_of_another_configuration_are_refused_by_the_name_of_the_tensor(
    intake: Intake, policy: FlowPolicy, make_policy: Callable
) -> None:
    narrow = make_policy(policy.specification, flow={"width": 32})
    intake.offer(record_weights(narrow, "run", 8))
    assert "tensor 'flow.blocks.0." in intake.refusal()


def test_weights_that_are_finite_but_answer_nothing_finite_are_refused(
    intake: Intake, policy: FlowPolicy, make_policy: Callable
) -> None:
    extreme = make_policy(policy.specification)
    with torch.no_grad():
        extreme.flow.log_scale.fill_(-1e4)
    intake.offer(record_weights(extreme, "run", 8))
    assert "answer is not finite" in intake.refusal()
    intake.plan()
    assert intake.policy.version == 7


def test_what_cannot_be_read_is_refused_and_the_next_weights_are_taken(
    intake: Intake, other: FlowPolicy
) -> None:
    def unreadable() -> WeightsRecord:
        raise WeightsError("9 bytes that are not a message")

    intake.intake.offer(unreadable)
    assert intake.refusal() == "9 bytes that are not a message"
    intake.offer(record_weights(other, "run", 8))
    intake.plan()
    assert intake.policy.version == 8


class DamagedSession:
    """Warm, but without an answer to a real observation."""

    runtime = "torch"

    def sample(self, *inputs: object) -> SampledChunks:
        raise InferenceError("the policy's answer is not finite")

    def prepare(self, state: object) -> InferenceSession:
        raise AssertionError("never asked")


def test_weights_whose_first_answer_cannot_be_used_give_way_to_those_before(
    intake: Intake, folder: Path, policy: FlowPolicy
) -> None:
    class Hasty(ServedPolicy):
        def prepare(self, record: WeightsRecord, newest: PreparedWeights | None = None) -> PreparedWeights:
            return PreparedWeights(DamagedSession(), record.run_id, record.version)

    before = intake.plan()
    hasty = Hasty(str(folder), Sampling(0, 1.0, True), "torch", None)
    intake.intake.serve(hasty)
    intake.offer(record_weights(policy, "run", 8))
    assert np.array_equal(intake.plan(), before)
    assert "version 8 of run 'run': the policy's answer is not finite" in intake.refusal()
    assert hasty.version == 7 and np.array_equal(intake.plan(), before)


def test_weights_for_a_policy_that_is_no_longer_served_are_forgotten(
    intake: Intake, folder: Path, other: FlowPolicy
) -> None:
    started, go = threading.Event(), threading.Event()

    def slow() -> WeightsRecord:
        started.set()
        go.wait()
        return record_weights(other, "run", 8)

    intake.intake.offer(slow)
    started.wait()
    reloaded = ServedPolicy(str(folder), Sampling(0, 1.0, True), "torch", None)
    intake.intake.serve(reloaded)
    thread = intake.intake._thread
    go.set()
    assert thread is not None
    thread.join()
    intake.plan()
    assert reloaded.version == 7 and intake.news.empty()
