"""Whether OGBench is installed, which set-up does not do."""

import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from soft_flow_learner.errors import LearnerError

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements" / "benchmarks.txt"
MODULES = ("ogbench", "dm_control", "dm_env", "lxml", "tqdm")


def require_ogbench() -> None:
    """Import what OGBench stands on, or refuse to go on.

    Raises:
        LearnerError: naming what is missing and the command that installs it.
    """
    missing = [name for name in MODULES if find_spec(name) is None]
    if missing:
        raise LearnerError(
            f"OGBench is not installed ({', '.join(missing)} missing); set-up leaves it out, install it:\n"
            f"  {sys.executable} -m pip install --no-deps -r {REQUIREMENTS}"
        )
    with warnings.catch_warnings():  # it looks for a display, which nothing here needs
        warnings.simplefilter("ignore")
        import_module("dm_control.mjcf")
