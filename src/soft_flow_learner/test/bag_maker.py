"""Makes small episodes and writes them as bags, for tests."""

import array
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from std_msgs.msg import String

from soft_flow_contract.message_conversion import header, to_observation_message
from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import Transition

Records = Sequence[tuple[str, str, int, bytes]]  # topic, type, stamp (ns), CDR


def small_specification(**changes: object) -> TaskSpecification:
    """A task with 16 x 16 images, four numbers of proprioception and two hand joints."""
    joints = [{"name": name, "low": -1.0, "high": 1.0} for name in ("thumb", "index")]
    data = {
        "task": "toy",
        "rate_hz": 20.0,
        "observation": {
            "proprioception": [
                {"name": "position", "unit": "m", "low": -1, "high": 1, "components": ["x", "y"]},
                {"name": "hand_target", "unit": "rad", "low": -1, "high": 1, "components": "hand"},
                {"name": "last_action", "unit": "1", "low": -1, "high": 1, "components": "action"},
            ],
            "cameras": [{"name": "palm", "width": 24, "height": 24, "encoding": "rgb8"}],
        },
        "action": {"arm": {"translation_scale": 0.03, "rotation_scale": 0.15}, "hand": joints},
        "chunk": {"length": 4, "executed": 2},
        "episode": {"max_steps": 50, "flags": ["grasped", "cut"], "success_flag": "cut"},
        "timing": {
            "command_phase": 0.025,
            "source_max_age": 0.12,
            "missed_limit": 10,
            "observation_timeout": 0.125,
        },
        "limits": {
            "workspace_low": [0.0, -1.0, 0.0],
            "workspace_high": [1.0, 1.0, 1.0],
            "max_translation": 0.03,
            "max_rotation": 0.15,
            "max_hand_step": 0.35,
            "max_target_lead": 0.12,
        },
    }
    return TaskSpecification.from_mapping({**data, **changes}, "test")


def make_transitions(
    specification: TaskSpecification,
    actions: int,
    seed: int = 0,
    outcome: str = "success",
    grasped: bool = True,
    encoding: str = "png",
) -> list[Transition]:
    """An episode with random contents."""
    random = np.random.default_rng(seed)
    identifier = str(uuid.UUID(int=int(random.integers(1 << 62))))
    messages = []
    for step in range(actions + 1):
        last = step == actions
        stamp = 10_000_000_000 * (seed + 1) + step * specification.dt_ns
        proprioception = random.uniform(-1, 1, specification.proprioception_dimension).astype(np.float32)
        images = {
            camera.name: random.integers(0, 255, (camera.height, camera.width, 3), dtype=np.uint8)
            for camera in specification.observation.cameras
        }
        observation = ObservationData(stamp, proprioception, images)
        message = Transition(header=header(stamp), episode_id=identifier, step=step, outcome=outcome)
        message.observation = to_observation_message(observation, specification, encoding=encoding)
        message.is_first, message.is_last, message.is_terminal = step == 0, last, last
        if not last:
            action = random.uniform(-0.5, 0.5, specification.action_dimension).astype(np.float32)
            message.action.executed = array.array("f", action)
            message.flag_names = list(specification.episode.flags)
            message.flags = [grasped and step >= actions // 2, outcome == "success" and step == actions - 1]
        messages.append(message)
    return messages


def records(messages: Sequence[Transition], topic: str = "transitions") -> Records:
    """Messages as records of a bag."""
    return [
        (
            topic,
            "soft_flow_msgs/msg/Transition",
            m.header.stamp.sec * 10**9 + m.header.stamp.nanosec,
            serialize_message(m),
        )
        for m in messages
    ]


def text_record(topic: str, text: str) -> Records:
    """A std_msgs/String as a record."""
    return [(topic, "std_msgs/msg/String", 1, serialize_message(String(data=text)))]


def write_bag(
    path: Path,
    contents: Records,
    custom: dict[str, str] | None = None,
    storage: StoragePlugin = StoragePlugin.MCAP,
    topics: Sequence[tuple[str, str]] = (("transitions", "soft_flow_msgs/msg/Transition"),),
) -> Path:
    """A closed rosbag2 directory."""
    store = get_typestore(Stores.ROS2_JAZZY)
    folder = Path(get_package_share_directory("soft_flow_msgs")) / "msg"
    for file in folder.glob("*.msg"):
        store.register(get_types_from_msg(file.read_text(), f"soft_flow_msgs/msg/{file.stem}"))
    with Writer(path, version=9, storage_plugin=storage) as writer:
        for key, value in (custom or {}).items():
            writer.set_custom_data(key, value)
        kinds = dict(topics) | {topic: kind for topic, kind, _, _ in contents}
        connections = {
            topic: writer.add_connection(topic, kind, typestore=store) for topic, kind in kinds.items()
        }
        for topic, _, stamp, data in contents:
            writer.write(connections[topic], stamp, data)
    return path


def write_episode(
    path: Path,
    specification: TaskSpecification,
    actions: int = 12,
    seed: int = 0,
    change: Callable[[list[Transition]], list[Transition] | None] = lambda messages: None,
    **kwargs: object,
) -> Path:
    """A bag of one episode as the episode node writes it; `change` spoils its messages."""
    messages = make_transitions(specification, actions, seed, **kwargs)  # type: ignore[arg-type]
    messages = change(messages) or messages
    return write_bag(path, records(messages), {"task_specification": specification.canonical_json()})
