"""The order of phases."""

import pytest

from soft_flow_episode.episode_state_machine import EpisodeStateMachine, Phase, PhaseError, oracle_label
from soft_flow_episode.step_joiner import Outcome
from soft_flow_msgs.msg import EpisodeState


def test_an_episode_passes_through_all_phases_and_the_next_one_begins_anew() -> None:
    machine = EpisodeStateMachine()
    for last in (False, True):
        machine.begin("id", 7)
        machine.run()
        machine.end()
        machine.label("success")
        assert (machine.phase, machine.outcome, machine.reason) == (Phase.WRITING, "success", "")
        machine.finish(last)
    assert machine.phase is Phase.FINISHED


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.RUNNING, Phase.LABELLING])
def test_an_episode_can_be_discarded_until_its_label_is_final(phase: Phase) -> None:
    machine = EpisodeStateMachine()
    for step in (lambda: machine.begin("id", 0), machine.run, machine.end)[: int(phase)]:
        step()
    machine.discard("it broke")
    assert (machine.outcome, machine.reason) == ("discard", "it broke")
    machine.finish(last=False)
    with pytest.raises(PhaseError):
        machine.discard("again")


def test_what_cannot_happen_now_is_refused_and_the_phase_named() -> None:
    machine = EpisodeStateMachine()
    with pytest.raises(PhaseError, match="label in phase IDLE; expected LABELLING"):
        machine.label("success")
    machine.begin("id", 0)
    with pytest.raises(PhaseError, match="begin an episode in phase PREPARING"):
        machine.begin("other", 1)
    assert machine.episode_id == "id"


def test_an_unknown_label_is_refused_and_leaves_the_phase() -> None:
    machine = EpisodeStateMachine()
    machine.begin("id", 0)
    machine.run()
    machine.end()
    with pytest.raises(
        ValueError, match="unknown outcome 'maybe'; expected one of success, failure, discard"
    ):
        machine.label("maybe")
    assert machine.phase is Phase.LABELLING


def test_the_oracles_label_is_the_tasks_success() -> None:
    ended = [Outcome("e", 0.0, {}, True, False, success, True, "") for success in (True, False)]
    assert [oracle_label(item) for item in ended] == ["success", "failure"]


@pytest.mark.parametrize("phase", list(Phase))
def test_phases_have_the_numbers_of_the_message(phase: Phase) -> None:
    assert getattr(EpisodeState, phase.name) == phase
