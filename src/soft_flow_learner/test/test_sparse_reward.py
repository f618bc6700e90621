"""A sparse reward follows the label, whoever gave it and whenever."""

from pathlib import Path

import numpy as np
import pytest
from bag_maker import make_transitions, small_specification, write_episode

from soft_flow_learner.ingest import BagIngest
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_learner.sparse_reward import follow_label
from soft_flow_msgs.msg import Transition

SPECIFICATION = small_specification()


@pytest.mark.parametrize(
    ("recorded", "terminal", "outcome", "rewards", "ended"),
    [
        ([0, 0, 0], False, "success", [0, 0, 1], True),  # labelled by a person: there was no oracle
        ([0, 1, 0], False, "success", [0, 1, 0], False),  # the oracle said when
        ([0, 0, 1], True, "failure", [0, 0, 0], True),  # the label was corrected
        ([0, 0, 0], True, "failure", [0, 0, 0], True),
        ([0.5, 0, 0.5], True, "failure", [0.5, 0, 0.5], True),  # not sparse: as it was recorded
        ([0.5, 0, 0], False, "success", [0.5, 0, 0], False),
    ],
)
def test_the_label_decides_a_sparse_reward_and_no_other(
    recorded: list[float], terminal: bool, outcome: str, rewards: list[float], ended: bool
) -> None:
    values, end = follow_label(np.array(recorded, np.float32), terminal, outcome)
    assert (values.tolist(), end) == (rewards, ended)


def test_an_episode_that_a_person_called_a_success_is_rewarded_and_ends(tmp_path: Path) -> None:
    def open_end(messages: list[Transition]) -> None:
        messages[-1].is_terminal = False

    write_episode(tmp_path / "bag", SPECIFICATION, change=open_end)
    record = BagIngest(SPECIFICATION).read([tmp_path])[0].record
    assert record.rewards[-1] == 1 and not record.rewards[:-1].any() and record.terminal


def test_relabelling_in_the_replay_leaves_what_reading_the_corrected_bag_leaves(tmp_path: Path) -> None:
    hashes = []
    for folder, outcome in (("a", "success"), ("b", "failure")):
        write_episode(tmp_path / folder / "bag", SPECIFICATION, outcome=outcome)
        buffer = ReplayBuffer(StepLayout.from_specification(SPECIFICATION), 50)
        buffer.add(BagIngest(SPECIFICATION).read([tmp_path / folder])[0], "policy")
        buffer.relabel(make_transitions(SPECIFICATION, 1)[0].episode_id, "failure")
        hashes.append(buffer.steps.reward[:13].tolist())
    assert hashes[0] == hashes[1]
