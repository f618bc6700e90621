import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from critic_maker import mean_action_critic, mean_action_model
from onnx import TensorProto, helper

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import CheckpointError, open_checkpoint, save_checkpoint
from soft_flow_policy.chunk_value import OnnxChunkValue
from soft_flow_policy.critic_graph import CriticGraphError, read_critic_graph
from soft_flow_policy.inference import InferenceError
from soft_flow_policy.policy import FlowPolicy


def test_a_critic_values_every_chunk(specification: TaskSpecification) -> None:
    critic = OnnxChunkValue(mean_action_critic(specification, cameras=["wrist_palm"]), specification, 3)
    chunks = np.random.default_rng(0).uniform(-1, 1, (3, 16, 23)).astype(np.float32)
    proprioception = np.zeros(specification.proprioception_dimension, np.float32)
    images = {
        camera.name: np.zeros((camera.height, camera.width, 3), np.uint8)
        for camera in specification.observation.cameras
    }
    assert critic.values(proprioception, images, chunks) == pytest.approx(chunks.mean((1, 2)), abs=1e-6)


def test_a_critic_whose_values_are_not_finite_is_refused(specification: TaskSpecification) -> None:
    with pytest.raises(InferenceError, match="the critic's answer is not finite"):
        OnnxChunkValue(mean_action_critic(specification, scale=float("nan")), specification, 2)


def test_operators_of_a_custom_domain_are_refused(specification: TaskSpecification) -> None:
    with pytest.raises(CriticGraphError, match=r"\['com\.example'\] are custom"):
        read_critic_graph(mean_action_critic(specification, domain="com.example"), specification)


def test_custom_operators_inside_a_branch_are_refused(specification: TaskSpecification) -> None:
    model = mean_action_model(specification)
    branch = helper.make_graph(
        [helper.make_node("Evil", [], ["out"], domain="com.example")],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
    )
    node = helper.make_node("If", ["condition"], ["unused"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)
    with pytest.raises(CriticGraphError, match=r"\['com\.example'\] are custom"):
        read_critic_graph(model.SerializeToString(), specification)


def test_functions_of_the_graph_itself_are_refused(specification: TaskSpecification) -> None:
    model = mean_action_model(specification)
    model.functions.append(helper.make_function("", "Mine", [], [], [], model.opset_import))
    with pytest.raises(CriticGraphError, match="functions of its own"):
        read_critic_graph(model.SerializeToString(), specification)


@pytest.mark.parametrize("place", ["initializer", "constant"])
def test_external_data_is_refused(specification: TaskSpecification, place: str) -> None:
    model = mean_action_model(specification)
    tensor = onnx.TensorProto(name="elsewhere", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    if place == "initializer":
        model.graph.initializer.append(tensor)
    else:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["elsewhere"], value=tensor))
    with pytest.raises(CriticGraphError, match="tensor 'elsewhere' has external data"):
        read_critic_graph(model.SerializeToString(), specification)


@pytest.mark.parametrize("data", [b"", b"no graph at all"])
def test_bytes_that_are_no_graph_are_refused(specification: TaskSpecification, data: bytes) -> None:
    with pytest.raises(CriticGraphError, match="ONNX graph"):
        read_critic_graph(data, specification)


def test_a_critic_of_another_action_is_refused_naming_the_input(specification: TaskSpecification) -> None:
    with pytest.raises(CriticGraphError, match=r"input 'chunks': expected FLOAT of shape \(None, 16, 23\)"):
        read_critic_graph(mean_action_critic(specification, dimension=16), specification)


def test_an_input_that_the_task_does_not_offer_is_refused(specification: TaskSpecification) -> None:
    model = mean_action_model(specification)
    model.graph.input.append(helper.make_tensor_value_info("image_roof", TensorProto.UINT8, [1, 8, 8, 3]))
    with pytest.raises(CriticGraphError, match="input 'image_roof' is unknown"):
        read_critic_graph(model.SerializeToString(), specification)


def test_a_checkpoint_gives_its_critic_back(tmp_path: Path, policy: FlowPolicy) -> None:
    critic = mean_action_critic(policy.specification)
    folder = save_checkpoint(tmp_path / "c", policy, version=1, step=1, stage="offline_rl", critic=critic)
    assert open_checkpoint(folder).critic() == critic
    plain = save_checkpoint(tmp_path / "p", policy, version=1, step=1, stage="imitation")
    assert open_checkpoint(plain).critic() is None


def test_a_critic_that_does_not_fit_is_not_saved(tmp_path: Path, policy: FlowPolicy) -> None:
    critic = mean_action_critic(policy.specification, dimension=16)
    with pytest.raises(CriticGraphError, match="input 'chunks'"):
        save_checkpoint(tmp_path / "c", policy, version=1, step=1, stage="offline_rl", critic=critic)
    assert list(tmp_path.iterdir()) == []


def test_a_changed_critic_is_refused_by_name(tmp_path: Path, policy: FlowPolicy) -> None:
    critic = mean_action_critic(policy.specification)
    folder = save_checkpoint(tmp_path / "c", policy, version=1, step=1, stage="offline_rl", critic=critic)
    (folder / "critic.onnx").write_bytes(mean_action_critic(policy.specification, scale=2.0))
    with pytest.raises(CheckpointError, match=r"critic\.onnx: its SHA-256"):
        open_checkpoint(folder)


def test_another_file_that_is_no_safetensors_is_refused(tmp_path: Path, policy: FlowPolicy) -> None:
    folder = save_checkpoint(tmp_path / "c", policy, version=1, step=1, stage="imitation")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["other.onnx"] = manifest["files"]["policy.safetensors"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"'other\.onnx' is neither"):
        open_checkpoint(folder)
