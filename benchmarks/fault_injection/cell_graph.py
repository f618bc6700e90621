"""The graph that is hurt: simulated hardware, real drivers, all above them, in a domain of its own."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import yaml

from fault_injection.catalogue import Place
from fault_injection.graph_client_node import GraphClient
from fault_injection.motion_watch import MotionWatch
from soft_flow_bringup.graph_commands import launch_command, own_domain
from soft_flow_bringup.watched_process import WatchedProcess
from soft_flow_bringup.workspace import find_workspace
from soft_flow_sim.protocol.protocol_world import CONTROL_SOCKET, WORLD_FILE
from soft_flow_sim.servo_bus.faults import FaultClient

LAUNCH = Path(__file__).with_name("faults.launch.xml")
HAND_LINK = "hand"  # the port of the simulated servo bus, in the world's folder
START_WAIT = 120.0  # s


def one_camera_task(folder: Path) -> Path:
    """The scissors with the outside camera only: what two cores can render beside everything else."""
    data = yaml.safe_load((find_workspace().root / "config/tasks/scissors.yaml").read_text(encoding="utf-8"))
    cameras = data["observation"]["cameras"]
    data["observation"]["cameras"] = [camera for camera in cameras if camera["name"] == "external"]
    path = folder / "one_camera.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def own_cell(folder: Path, address: str) -> Path:
    """The cell of simulated hardware with an address and a port of its own."""
    data = yaml.safe_load(
        (find_workspace().root / "config/robots/protocol_sim.yaml").read_text(encoding="utf-8")
    )
    data["arm"]["address"], data["hand"]["port"] = address, str(folder / "world" / HAND_LINK)
    data["hand"]["calibration"] = str(folder / "calibration.yaml")
    path = folder / "protocol_sim.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


@contextmanager
def running_cell(
    folder: Path, launch: Path, random: np.random.Generator, **arguments: object
) -> Iterator[tuple[Place, MotionWatch]]:
    """Start a graph and end it; what is in `folder` stays there.

    Raises:
        RuntimeError: it did not start; the message names its log.
    """
    world = folder / "world"
    cell = own_cell(folder, f"127.0.{os.getpid() % 200 + 20}.9")
    given = {"robot_file": cell, "world_folder": world, "output": folder / "episodes", **arguments}
    with own_domain() as environ:
        environ = {**environ, "ROS_HOME": str(folder / "ros"), "OMP_NUM_THREADS": "1"}
        (world / WORLD_FILE).unlink(missing_ok=True)
        with WatchedProcess(launch_command(str(launch), given), folder / "graph.log", environ) as graph:
            deadline = time.monotonic() + START_WAIT
            while not (world / WORLD_FILE).exists():
                if not graph.running() or time.monotonic() > deadline:
                    raise RuntimeError(f"the graph did not start; see {folder / 'graph.log'}")
            domain = environ["ROS_DOMAIN_ID"]
            client, watch = GraphClient(int(domain)), MotionWatch(world / WORLD_FILE)
            bus = FaultClient(world / HAND_LINK)
            try:
                yield Place(client, domain, world / CONTROL_SOCKET, bus, random), watch
            finally:
                watch.close()
                client.close()


def make_policy(folder: Path, task: Path) -> Path:
    """An untrained policy: it moves, which is all that is asked of it."""
    import torch

    from soft_flow_contract.task_specification import TaskSpecification
    from soft_flow_policy.checkpoint import save_checkpoint
    from soft_flow_policy.flow import FlowConfig
    from soft_flow_policy.policy import FlowPolicy
    from soft_flow_policy.policy_config import FlowPolicyConfig

    if (folder / "manifest.json").exists():
        return folder
    specification = TaskSpecification.load(task)
    torch.manual_seed(0)
    policy = FlowPolicy(FlowPolicyConfig(flow=FlowConfig(blocks=2, width=16)), specification)
    chunks = 0.6 * torch.rand(64, specification.chunk.length, specification.action_dimension) - 0.3
    policy.fit_normalizers(torch.rand(64, specification.proprioception_dimension), chunks)
    return save_checkpoint(folder, policy.eval(), version=1, step=0, stage="imitation")
