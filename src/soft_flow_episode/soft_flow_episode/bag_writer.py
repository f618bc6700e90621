"""One closed MCAP bag (rosbag2 layout) an episode, or none: written aside, flushed, renamed into place."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from soft_flow_contract.durable_files import sync_file, sync_folder
from soft_flow_episode.episode_plan import RECORDING, OutputError

TRANSITION_TYPE = "soft_flow_msgs/msg/Transition"
_OWN_TYPES = ("Observation", "ExecutedAction", "Transition")
_INFINITE = QosTime(sec=9223372036, nsec=854775807)  # as rosbag2 writes it


def bag_name(seed: int, episode_id: str) -> str:
    """Folder of an episode's bag: sorted by seed, unique by the episode's UUID."""
    return f"seed-{seed:06d}-{episode_id[:8]}"


@cache
def transition_types(message_folder: Path) -> Typestore:
    """Jazzy's types and the project's, the latter from their `.msg` files.

    Raises:
        OutputError: a file is missing.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in _OWN_TYPES:
        path = message_folder / f"{name}.msg"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path}: cannot be read ({error.strerror}); build soft_flow_msgs") from error
        store.register(get_types_from_msg(text, f"soft_flow_msgs/msg/{name}"))
    return store


def transition_qos(depth: int) -> Qos:
    """The offered QoS that a replay of the bag takes over: reliable, volatile, keep last."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.VOLATILE,
        deadline=_INFINITE,
        lifespan=_INFINITE,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_INFINITE,
        avoid_ros_namespace_conventions=False,
    )


class BagWriter:
    """Writes the bags of an output folder."""

    def __init__(self, output: Path, message_folder: Path, topic: str, qos_depth: int) -> None:
        """Write into `output` (made if missing), transitions under `topic`.

        Args:
            output: folder of the bags.
            message_folder: where the `.msg` files of soft_flow_msgs are.
            topic: full name of the transitions topic.
            qos_depth: depth of the QoS that the topic is offered with.

        Raises:
            OutputError: the message files are missing.
        """
        self._output, self._topic, self._qos = output, topic, transition_qos(qos_depth)
        self._types = transition_types(message_folder)

    def write(self, name: str, messages: Iterable[tuple[int, bytes]], custom_data: Mapping[str, str]) -> Path:
        """Write a bag of transitions.

        Args:
            name: of the bag's folder; nothing of this name may be there.
            messages: log time (ROS stamp, ns) and CDR bytes of each transition.
            custom_data: goes into the bag's metadata.

        Returns:
            The closed bag; it is on the disk.

        Raises:
            OutputError: a bag of this name is there already.
        """
        final, temporary = self._output / name, self._output / RECORDING / name
        if final.exists():
            raise OutputError(f"{final} exists already; bags are never overwritten")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with Writer(temporary, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            for key, value in custom_data.items():
                writer.set_custom_data(key, value)
            connection = writer.add_connection(
                self._topic, TRANSITION_TYPE, typestore=self._types, offered_qos_profiles=[self._qos]
            )
            for stamp_ns, data in messages:
                writer.write(connection, stamp_ns, data)
        for file in temporary.iterdir():
            sync_file(file)
        sync_folder(temporary)
        temporary.rename(final)
        sync_folder(self._output)
        return final
