"""Makes the simulated task of a specification, ready to be rendered."""

import os

from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.domain_parameters import DOMAINS
from soft_flow_sim.offscreen_renderer import BACKENDS, choose_backend
from soft_flow_sim.scissors_task import ScissorsTask


def _prepare_rendering(backend: str) -> None:
    if backend in BACKENDS:
        os.environ["MUJOCO_GL"] = backend
    elif backend != "auto":
        raise SpecificationError(f"render_backend: expected auto, {', '.join(BACKENDS)}; got '{backend}'")
    choose_backend()
    # Mesa's software renderer: at these sizes its threads cost more than they give.
    os.environ.setdefault("LP_NUM_THREADS", "0")


def make_rendered_task(
    specification: TaskSpecification,
    domain: str,
    grasp_assist: bool,
    render_backend: str,
    driven: bool = False,
) -> ScissorsTask:
    """The simulated task of a specification; see ScissorsTask.

    Raises:
        SpecificationError: there is no simulation of this task, or no such domain or backend.
    """
    if specification.task != "scissors":
        raise SpecificationError(f"task '{specification.task}' is not simulated; known: scissors")
    if domain not in DOMAINS:
        raise SpecificationError(f"domain: expected one of {', '.join(DOMAINS)}, got '{domain}'")
    _prepare_rendering(render_backend)
    return ScissorsTask(specification, DOMAINS[domain], grasp_assist, render=True, driven=driven)
