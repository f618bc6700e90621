"""Episodes of a policy in the simulated cell, undisturbed and with one thing wrong, plan by plan."""

from dataclasses import dataclass

import mujoco
import numpy as np

from soft_flow_contract.steps import ObservationData
from soft_flow_policy.served_policy import PlannedChunk, ServedPolicy
from soft_flow_sim.domain_parameters import NOMINAL, SHIFTED
from soft_flow_sim.scissors_environment import ScissorsEnvironment

NOTHING, OCCLUDED, MOVED, SHIFTED_WORLD = "nothing", "occluded camera", "moved object", "shifted world"
DISTURBANCES = (OCCLUDED, MOVED, SHIFTED_WORLD)
ONSET = 24  # tick of the disturbance, within the approach; of the shifted world: the start
MOVE = np.array([0.05, 0.05, 0.0])  # m, in the base frame

Images = dict[str, np.ndarray]


@dataclass(frozen=True)
class SeenPlan:
    """A plan that had one before it.

    Attributes:
        tick: of its observation.
        observation: that it was made from, as the policy saw it.
        chunk: the plan.
    """

    tick: int
    observation: ObservationData
    chunk: PlannedChunk


def occlude(images: Images, camera: str) -> Images:
    """A camera whose picture is covered by a grey thing, but for a margin."""
    covered = images[camera].copy()
    margin = covered.shape[0] // 8
    covered[margin:-margin, margin:-margin] = 90
    return images | {camera: covered}


def move_object(environment: ScissorsEnvironment) -> bool:
    """Push case and scissors aside, unless the hand holds them; returns whether that was done."""
    task = environment.task
    truth = task.privileged_state()
    if truth["assist_engaged"] or truth["lifted"]:
        return False
    task.data.mocap_pos[task.model.body("case").mocapid[0]] += MOVE
    free = task.truth.free_address
    task.data.qpos[free : free + 3] += MOVE
    mujoco.mj_forward(task.model, task.data)
    return True


class DisturbedCell:
    """Plays episodes; images are rendered only where a plan is made."""

    def __init__(self, policy: ServedPolicy, camera: str) -> None:
        """For a policy that sees; `camera` is the one that gets occluded."""
        self._policy, self._camera = policy, camera
        self._names = [item.name for item in policy.specification.observation.cameras]
        self._worlds = {
            domain.name: ScissorsEnvironment(
                policy.specification, domain, images=False, render_mode="rgb_array"
            )
            for domain in (NOMINAL, SHIFTED)
        }

    def play(self, disturbance: str, seed: int) -> list[SeenPlan]:
        """The plans of the episode of `seed` from the onset on; none if it could not be disturbed."""
        world = self._worlds[SHIFTED.name if disturbance == SHIFTED_WORLD else NOMINAL.name]
        shape = self._policy.specification.chunk
        seen, _ = world.reset(seed=seed)
        plans: list[SeenPlan] = []
        earlier = None
        for tick in range(self._policy.specification.episode.max_steps):
            if tick == ONSET and disturbance == MOVED and not move_object(world):
                return []
            if tick % shape.executed == 0:
                observation = self._observe(world, seen["proprioception"], disturbance, seed, tick)
                chunk = self._policy.plan(observation, earlier)
                if earlier is not None and tick >= ONSET:
                    plans.append(SeenPlan(tick, observation, chunk))
                earlier = chunk.actions[shape.executed :]
            action = np.clip(chunk.actions[tick % shape.executed], -1, 1)
            seen, _, terminal, truncated, _ = world.step(action)
            if terminal or truncated:
                break
        return plans

    def _observe(
        self, world: ScissorsEnvironment, proprioception: np.ndarray, disturbance: str, seed: int, tick: int
    ) -> ObservationData:
        images = {name: world.task.render(name) for name in self._names}
        if disturbance == OCCLUDED and tick >= ONSET:
            images = occlude(images, self._camera)
        stamp = (seed * 10_000 + tick) * self._policy.specification.dt_ns  # noise of its own for each start
        return ObservationData(stamp, proprioception.astype(np.float32), images)

    def close(self) -> None:
        """Free the graphics contexts."""
        for world in self._worlds.values():
            world.close()
