import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from soft_flow_contract.errors import SpecificationMismatch
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import CheckpointError, open_checkpoint, save_checkpoint
from soft_flow_policy.policy import FlowPolicy


@pytest.fixture
def folder(tmp_path: Path, policy: FlowPolicy) -> Path:
    return save_checkpoint(
        tmp_path / "checkpoint",
        policy,
        version=3,
        step=100,
        stage="imitation",
        files={"optimizer.safetensors": {"moment": torch.arange(3.0)}},
        extra={"bags": ["a"]},
    )


def edit_manifest(folder: Path, **changes: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_loaded_policy_answers_bit_equal(
    folder: Path, policy: FlowPolicy, make_observations: Callable
) -> None:
    checkpoint = open_checkpoint(folder, policy.specification)
    loaded = checkpoint.policy()
    observation = make_observations(policy.specification, 2)
    noise = torch.randn(2, policy.length, policy.dimension)
    for denoise in (False, True):
        expected = policy.sample(observation, 0.5, noise, denoise=denoise)
        actual = loaded.sample(observation, 0.5, noise, denoise=denoise)
        assert torch.equal(actual.actions, expected.actions)
        assert torch.equal(actual.log_prob, expected.log_prob)
    assert (checkpoint.manifest.version, checkpoint.manifest.step, checkpoint.manifest.stage) == (
        3,
        100,
        "imitation",
    )
    assert torch.equal(checkpoint.tensors("optimizer.safetensors")["moment"], torch.arange(3.0))
    assert checkpoint.manifest.extra == {"bags": ["a"]}


def test_a_checkpoint_is_replaced_whole_and_nothing_else_is_left(folder: Path, policy: FlowPolicy) -> None:
    save_checkpoint(folder, policy, version=4, step=200, stage="imitation")
    assert open_checkpoint(folder).manifest.version == 4
    assert sorted(p.name for p in folder.parent.iterdir()) == ["checkpoint"]
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "policy.safetensors"]


def test_a_truncated_file_is_refused_by_name(folder: Path) -> None:
    file = folder / "policy.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"policy\.safetensors: expected \d+ bytes"):
        open_checkpoint(folder)


def test_a_changed_byte_is_refused_by_name(folder: Path) -> None:
    file = folder / "optimizer.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors: its SHA-256"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["manifest.json", "policy.safetensors"])
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        open_checkpoint(folder)


def test_an_unknown_key_of_the_manifest_is_refused_with_the_nearest_known_one(folder: Path) -> None:
    edit_manifest(folder, stge="x")
    with pytest.raises(CheckpointError, match="stge: unknown key; did you mean 'stage'"):
        open_checkpoint(folder)


def test_another_format_is_refused(folder: Path) -> None:
    edit_manifest(folder, format=99)
    with pytest.raises(CheckpointError, match="format: expected 1, got 99"):
        open_checkpoint(folder)


def test_a_changed_specification_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["specification"]["rate_hz"] = 25.0
    edit_manifest(folder, specification=manifest["specification"])
    with pytest.raises(CheckpointError, match="specification_hash"):
        open_checkpoint(folder)


def test_another_task_is_refused_naming_the_first_differing_field(folder: Path, policy: FlowPolicy) -> None:
    data = json.loads(policy.specification.canonical_json())
    data["action"]["hand"][2]["high"] = 1.0
    other = TaskSpecification.from_mapping(data, "other.yaml")
    with pytest.raises(SpecificationMismatch, match=r"action\.hand\[2\]\.high"):
        open_checkpoint(folder, other)


def test_weights_of_another_configuration_are_refused_naming_the_tensor(
    tmp_path: Path, policy: FlowPolicy, make_policy: Callable
) -> None:
    other = make_policy(policy.specification, flow={"width": 32})
    folder = save_checkpoint(tmp_path / "checkpoint", other, version=0, step=0, stage="imitation")
    edit_manifest(folder, policy=json.loads(policy.config.model_dump_json()))
    with pytest.raises(CheckpointError, match=r"tensor 'flow\.blocks\.0\..*': expected shape"):
        open_checkpoint(folder).policy()


def test_weights_that_are_not_finite_are_refused(
    tmp_path: Path, specification: TaskSpecification, make_policy: Callable
) -> None:
    diverged = make_policy(specification)
    with torch.no_grad():
        diverged.flow.bias.fill_(float("nan"))
    folder = save_checkpoint(tmp_path / "checkpoint", diverged, version=0, step=0, stage="imitation")
    with pytest.raises(CheckpointError, match=r"tensor 'flow\.bias' has values that are not finite"):
        open_checkpoint(folder).policy()
