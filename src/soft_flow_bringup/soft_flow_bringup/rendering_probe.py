"""Render one frame with the MuJoCo backend that MUJOCO_GL names (a program of `doctor`)."""

from __future__ import annotations

import sys
import time

_SCENE = """
<mujoco>
  <visual><global offwidth="84" offheight="84"/><quality shadowsize="0" offsamples="0"/></visual>
  <worldbody>
    <light pos="0 0 2"/>
    <camera name="eye" pos="0 -1 1" xyaxes="1 0 0 0 0.7 0.7"/>
    <geom type="sphere" size="0.3" rgba="0.9 0.2 0.1 1"/>
  </worldbody>
</mujoco>
"""


def main() -> int:
    """Render; returns 0 if the picture shows something."""
    import mujoco

    model = mujoco.MjModel.from_xml_string(_SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, 84, 84) as renderer:
        renderer.update_scene(data, camera="eye")
        renderer.render()
        durations = []
        for _ in range(5):
            began = time.perf_counter()
            picture = renderer.render()
            durations.append(time.perf_counter() - began)
    if picture.std() == 0:
        print("the frame is of one colour only")
        return 1
    print(f"84 x 84 frame in {min(durations) * 1e3:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
