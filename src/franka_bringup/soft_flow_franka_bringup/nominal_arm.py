"""The arm's model where its controller hands out no URDF: libfranka before 0.15, as for the Panda (FER)."""

import numpy as np

from soft_flow_contract.robot_cell import Payload
from soft_flow_franka_bringup.arm_model import ArmLink, ArmModel
from soft_flow_franka_bringup.franka_kinematics import FLANGE_ORIGIN, ORIGINS

# Links 1 to 7: mass (kg), centre of mass (m), inertia about it (kg m^2: xx yy zz xy xz yz), link's frame.
# Source: the FR3's URDF of franky_sim. The Panda has the same geometry and nearly the same bodies, from which
# only the damping and the feed-forward of the impedance control are computed.
_BODIES = (
    (2.92747, (0.0, -0.01813, -0.03860), (0.02393, 0.02248, 0.00635, 0.00001, -0.00011, -0.00200)),
    (2.93554, (0.00318, -0.07432, 0.00881), (0.04194, 0.02515, 0.06170, 0.00020, 0.00408, -0.00423)),
    (2.24490, (0.04070, -0.00482, -0.02897), (0.02410, 0.01974, 0.01904, 0.00240, -0.00286, -0.00210)),
    (2.61560, (-0.04591, 0.06305, -0.00852), (0.03453, 0.02888, 0.04125, 0.01323, 0.01015, -0.00098)),
    (2.32712, (-0.00160, 0.02925, -0.09730), (0.05161, 0.04788, 0.01642, -0.00572, -0.00357, 0.01067)),
    (1.81704, (0.05971, -0.04103, -0.01017), (0.00541, 0.01406, 0.01608, 0.00619, 0.00142, -0.00131)),
    (0.62714, (0.00452, 0.00863, -0.01616), (0.00021, 0.00018, 0.00006, -0.00002, 0.00005, 0.00009)),
)


def nominal_arm_model(payload: Payload) -> ArmModel:
    """An arm of Franka's geometry with the FR3's bodies."""
    links = []
    for origin, (mass, center, (xx, yy, zz, xy, xz, yz)) in zip(ORIGINS, _BODIES, strict=True):
        inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        links.append(ArmLink(origin.matrix, origin.position, mass, np.array(center), inertia))
    return ArmModel(links, FLANGE_ORIGIN.position, payload)
