import mujoco
import numpy as np

from soft_flow_sim.scissors_model import BLADE_OFFSET, HINGE_OPEN, add_scissors
from soft_flow_sim.tape_strand import SEGMENTS, TapeCutter, add_strand

STRAND = np.array([0.0, 0.0, 0.3])


def closed_scissors(torque: float, sideways: float = 0.0) -> tuple[TapeCutter, mujoco.MjData]:
    """Holds open scissors around a strand (or beside it) and closes them with a torque (N m) for 1.2 s."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.timestep, spec.option.impratio = 0.002, 3
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    add_scissors(spec, mass_scale=1.0, squeeze_torque=1.0)
    add_strand(spec, STRAND, np.array([0.0, 0.0, 0.01]))
    spec.body("scissors").gravcomp = spec.body("scissors_other").gravcomp = 1.0
    weld = spec.add_equality(name="vice", type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY)
    weld.name1, weld.name2, weld.solref = "world", "scissors", [0.01, 1]
    position = [-BLADE_OFFSET, sideways, 0.16]
    half = HINGE_OPEN / 2
    turn = [np.cos(half / 2), 0.0, 0.0, np.sin(half / 2)]
    weld.data = [0, 0, 0, *position, *turn, 1, 0]
    model = spec.compile()
    data = mujoco.MjData(model)
    data.joint("scissors_free").qpos = [*position, *turn]
    data.joint("scissors_hinge").qpos = HINGE_OPEN
    cutter = TapeCutter(model, cut_force=2.5, checks=2)
    for step in range(120):
        data.actuator("squeeze").ctrl = torque * min(1.0, step / 40)
        mujoco.mj_step(model, data, 5)
        cutter.check(data)
    return cutter, data


def lower_end_height(data: mujoco.MjData, cutter: TapeCutter) -> float:
    assert cutter.cut is not None
    return float(data.body(f"tape{cutter.cut.joint}").xpos[2])


def test_a_firm_squeeze_parts_the_strand_at_the_blades() -> None:
    cutter, data = closed_scissors(torque=0.35)
    assert cutter.cut is not None
    assert abs(cutter.cut.point[2] - 0.16) < 0.01
    assert 1 <= cutter.cut.joint < SEGMENTS
    # The strand is pinned at both ends; the halves move apart once they are no longer joined.
    gap = np.linalg.norm(
        data.body(f"tape{cutter.cut.joint}").xpos - data.body(f"tape{cutter.cut.joint - 1}").xpos
    )
    assert gap > 0.29 / SEGMENTS


def test_a_light_touch_does_not_cut() -> None:
    cutter, _ = closed_scissors(torque=0.10)
    assert cutter.cut is None


def test_a_strand_three_centimetres_beside_the_blades_is_not_cut() -> None:
    for sideways in (-0.03, 0.03):
        cutter, _ = closed_scissors(torque=0.35, sideways=sideways)
        assert cutter.cut is None
        assert cutter.peak_force == 0.0
