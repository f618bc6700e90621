import numpy as np
import pytest

from soft_flow_contract.pose import Pose
from soft_flow_franka_bringup.kinematic_tree import (
    AT_PARENT,
    Cylinder,
    Joint,
    KinematicTree,
    Link,
    TreeError,
    box_between,
    capsule,
)


def fixed(parent: str, child: str, name: str = "") -> Joint:
    return Joint(name or f"{parent}_{child}", parent, child, AT_PARENT)


def tree(links: str, *joints: Joint) -> KinematicTree:
    return KinematicTree("toy", tuple(Link(name) for name in links), joints)


def test_joints_are_walked_from_the_root_on_whatever_their_order() -> None:
    found = tree("abcd", fixed("b", "c"), fixed("a", "b"), fixed("a", "d"))
    assert found.root == "a"
    walked = [joint.child for joint in found.outwards()]
    assert sorted(walked) == ["b", "c", "d"]
    assert walked.index("b") < walked.index("c")


@pytest.mark.parametrize(
    ("links", "joints", "message"),
    [
        ("aab", [fixed("a", "b")], "several links"),
        ("abc", [fixed("a", "b", "j"), fixed("b", "c", "j")], "several joints"),
        ("ab", [fixed("a", "x")], "unknown links"),
        ("abc", [fixed("a", "c"), fixed("b", "c")], "two parents"),
        ("abc", [fixed("a", "b")], "not one tree"),
        ("abc", [fixed("b", "c"), fixed("c", "b")], "not one tree"),
    ],
)
def test_what_is_no_tree_is_refused(links: str, joints: list[Joint], message: str) -> None:
    with pytest.raises(TreeError, match=message):
        tree(links, *joints)


@pytest.mark.parametrize("end", [(0.1, 0.0, 0.0), (0.0, 0.2, -0.1), (0.0, 0.0, -0.3), (0.0, 0.0, 0.3)])
def test_a_capsule_reaches_from_one_point_to_the_other(end: tuple[float, float, float]) -> None:
    *balls, tube = capsule(np.array([0.0, 0.01, 0.0]), np.array(end), 0.01, "white")
    assert [tuple(ball.pose.position) for ball in balls] == [(0.0, 0.01, 0.0), end]
    assert isinstance(tube.shape, Cylinder)
    half = tube.pose.matrix @ [0.0, 0.0, tube.shape.length / 2]
    np.testing.assert_allclose(tube.pose.position + half, end, atol=1e-12)
    np.testing.assert_allclose(tube.pose.position - half, [0.0, 0.01, 0.0], atol=1e-12)


def test_a_capsule_without_length_is_a_ball() -> None:
    assert len(capsule(np.zeros(3), np.zeros(3), 0.01, "white")) == 1


def test_a_box_lies_between_its_corners() -> None:
    box = box_between((-0.1, 0.0, 0.2), (0.3, 0.1, 0.4), "dark")
    np.testing.assert_allclose(box.pose.position, [0.1, 0.05, 0.3])
    np.testing.assert_allclose(box.shape.size, [0.4, 0.1, 0.2])
    assert isinstance(box.pose, Pose)
