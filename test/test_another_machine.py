"""The learner on another machine: two network namespaces that share nothing but a cable (a veth pair)."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PEER = Path(__file__).parent / "machine_peer_node.py"
TRANSITIONS, MEGABYTES = 200, 5
ADDRESSES = {"robot": "10.77.0.1", "learner": "10.77.0.2"}  # they exist inside the namespaces only
CABLE = "cable"


def ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True)


@dataclass(frozen=True)
class Machine:
    """A network namespace."""

    namespace: str

    def command(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *words]

    def received(self) -> int:
        """Bytes that came through the cable."""
        counter = f"/sys/class/net/{CABLE}/statistics/rx_bytes"
        done = subprocess.run(self.command("cat", counter), capture_output=True, text=True, check=True)
        return int(done.stdout)


def connect(machines: dict[str, Machine]) -> None:
    """Make the namespaces and the cable between them; skip where that is not permitted."""
    robot, learner = machines.values()
    steps = [("netns", "add", machine.namespace) for machine in machines.values()]
    ends = ("name", CABLE, "netns", robot.namespace), ("name", CABLE, "netns", learner.namespace)
    steps.append(("link", "add", *ends[0], "type", "veth", "peer", *ends[1]))
    for role, machine in machines.items():
        inside = ("-n", machine.namespace)
        steps += [
            (*inside, "address", "add", f"{ADDRESSES[role]}/24", "dev", CABLE),
            (*inside, "link", "set", "lo", "up"),
            (*inside, "link", "set", CABLE, "up"),
        ]
    for step in steps:
        done = ip(*step)
        if done.returncode:
            pytest.skip(f"no network namespaces here: ip {' '.join(step)}: {done.stderr.strip()}")


@pytest.fixture
def machines() -> Iterator[dict[str, Machine]]:
    if shutil.which("ip") is None:
        pytest.skip("no network namespaces here: 'ip' is missing (Debian's package iproute2)")
    named = {role: Machine(f"soft_flow_{role}_{os.getpid()}") for role in ADDRESSES}
    try:
        connect(named)
        yield named
    finally:
        for machine in named.values():
            ip("netns", "delete", machine.namespace)  # and the cable with it; fails if it was never made


@pytest.mark.parametrize("discovery", ["subnet", "static peers"])
def test_transitions_reach_a_learner_on_another_machine_and_its_weights_come_back(
    machines: dict[str, Machine], graph_environment: dict[str, str], discovery: str
) -> None:
    processes = {}
    for role, machine in machines.items():
        environment = {**graph_environment, "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
        if discovery == "static peers":
            other = next(address for name, address in ADDRESSES.items() if name != role)
            environment |= {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": other}
        words = (sys.executable, str(PEER), role, str(TRANSITIONS), str(MEGABYTES))
        processes[role] = subprocess.Popen(
            machine.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
    try:
        learner, robot = (json.loads(processes[role].stdout.readline()) for role in ("learner", "robot"))
        assert learner == {"whole": True, "steps": TRANSITIONS}
        assert robot["got"] == robot["said"] and robot["bytes"] == MEGABYTES * 1_000_000
        assert machines["robot"].received() > MEGABYTES * 1_000_000  # not by a shared memory
        assert machines["learner"].received() > TRANSITIONS * 9000
        for process in processes.values():
            process.stdin.close()
            assert process.wait() == 0
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
