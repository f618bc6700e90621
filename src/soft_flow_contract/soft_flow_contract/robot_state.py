"""The robot's measured and commanded state, read out of an observation's proprioception."""

import numpy as np

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.errors import ObservationError
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification


def rotation_from_6d(columns: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) from its first two columns (6,), orthonormal (arXiv 1812.07035).

    Raises:
        ObservationError: the columns are zero or parallel.
    """
    columns = np.asarray(columns, dtype=np.float64)
    first, second = columns[:3], columns[3:6]
    x = first / max(float(np.linalg.norm(first)), 1e-9)
    y = second - (x @ second) * x
    length = float(np.linalg.norm(y))
    if not (length > 1e-6 and abs(float(np.linalg.norm(x)) - 1) < 1e-6):
        raise ObservationError(f"rotation: columns {columns.tolist()} do not span a rotation")
    y = y / length
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _state(
    specification: TaskSpecification, proprioception: np.ndarray, fields: tuple[str, str, str]
) -> RobotTarget:
    parts = specification.proprioception_slices
    missing = [field for field in fields if field not in parts]
    if missing:
        raise ObservationError(f"proprioception has no field {missing}; it has {list(parts)}")
    if proprioception.shape != (specification.proprioception_dimension,):
        raise ObservationError(
            f"proprioception: expected {specification.proprioception_dimension} numbers, "
            f"got shape {proprioception.shape}"
        )
    position, columns, hand = (np.asarray(proprioception[parts[field]], dtype=np.float64) for field in fields)
    for field, values in zip(fields, (position, columns, hand), strict=True):
        if not np.all(np.isfinite(values)):
            raise ObservationError(f"proprioception field '{field}' is not finite; check its sensor")
    return RobotTarget(Pose.from_matrix(position, rotation_from_6d(columns)), hand)


def measured_state(specification: TaskSpecification, proprioception: np.ndarray) -> RobotTarget:
    """Measured flange pose in base frame and hand joints (rad) from a proprioception vector (P,).

    Raises:
        ObservationError: wrong shape, a missing field, or a value that is not finite.
    """
    return _state(
        specification, proprioception, ("flange_position", "flange_rotation", "hand_joint_position")
    )


def commanded_state(specification: TaskSpecification, proprioception: np.ndarray) -> RobotTarget:
    """Flange target in base frame and hand targets (rad) commanded last, from a proprioception vector (P,).

    Raises:
        ObservationError: wrong shape, a missing field, or a value that is not finite.
    """
    return _state(
        specification, proprioception, ("arm_target_position", "arm_target_rotation", "hand_target")
    )
