"""Headless rendering of a MuJoCo world: EGL, else OSMesa, else GLFW, whichever works first."""

import importlib
import os
import subprocess
import sys
from functools import cache

import mujoco
import numpy as np
from numpy.typing import NDArray

BACKENDS = ("egl", "osmesa", "glfw")
_PROBE = (
    "from mujoco.{} import GLContext; context = GLContext(16, 16); context.make_current(); context.free()"
)
_VISIBLE_GEOM_GROUP = 2
_SHADOW_MAP = 8192  # texels; less shows as stripes on the table


class RenderingUnavailableError(RuntimeError):
    """No backend gives a picture; the message says what each one lacked and what to install."""


@cache
def choose_backend() -> str:
    """Finds the rendering backend of this process: the one named by MUJOCO_GL, else the first that works.

    A failed try would leave PyOpenGL bound to the wrong platform, so each candidate is probed in a process of
    its own.

    Returns:
        One of BACKENDS.

    Raises:
        RenderingUnavailableError: MUJOCO_GL names none of them, or none works.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if wanted:
        if wanted not in BACKENDS:
            raise RenderingUnavailableError(
                f"MUJOCO_GL={wanted!r} is not one of {', '.join(BACKENDS)}; unset or change it"
            )
        return wanted
    failures = []
    for backend in BACKENDS:
        environment = {**os.environ, "MUJOCO_GL": backend}
        command = [sys.executable, "-c", _PROBE.format(backend)]
        probe = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if probe.returncode == 0:
            return backend
        lines = probe.stderr.strip().splitlines()
        failures.append(f"{backend}: {lines[-1] if lines else 'gave no reason'}")
    raise RenderingUnavailableError(
        "no rendering backend works; install libegl1 libegl-mesa0 libgl1-mesa-dri for EGL, or libosmesa6. "
        + "; ".join(failures)
    )


class OffscreenRenderer:
    """Renders a model's cameras to RGB images. Belongs to the thread that made it."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int, shadows: bool = False) -> None:
        """Creates a graphics context.

        Args:
            model: what to render; the sizes of its buffers are set.
            width: pixels.
            height: pixels.
            shadows: pretty, but thirty times slower on a processor.

        Raises:
            RenderingUnavailableError: there is no working backend.
        """
        self.backend = choose_backend()
        if os.environ.get("PYOPENGL_PLATFORM") is None and self.backend != "glfw":
            os.environ["PYOPENGL_PLATFORM"] = self.backend
        model.vis.quality.shadowsize = _SHADOW_MAP if shadows else 0
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        self._context = importlib.import_module(f"mujoco.{self.backend}").GLContext(width, height)
        self._context.make_current()
        self._model = model
        self._graphics = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._graphics)
        self._scene = mujoco.MjvScene(model, maxgeom=2 * model.ngeom + 10)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(shadows)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[_VISIBLE_GEOM_GROUP] = 1
        self._option.sitegroup[:] = 0
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), dtype=np.uint8)

    def render(self, data: mujoco.MjData, camera: str | mujoco.MjvCamera) -> NDArray[np.uint8]:
        """Renders one view.

        Args:
            data: the state; only kinematics are read.
            camera: the name of a camera in the model, or a free camera.

        Returns:
            An RGB image of its own memory, shape (height, width, 3), row 0 at the top.
        """
        if isinstance(camera, str):
            view = mujoco.MjvCamera()
            view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, self._model.camera(camera).id
        else:
            view = camera
        self._context.make_current()
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._option, None, view, everything, self._scene)
        mujoco.mjr_render(self._viewport, self._scene, self._graphics)
        mujoco.mjr_readPixels(self._pixels, None, self._viewport, self._graphics)
        return self._pixels[::-1].copy()

    def close(self) -> None:
        """Frees the graphics context; the renderer must not be used afterwards."""
        self._graphics.free()
        self._context.free()
