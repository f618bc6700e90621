"""The flow with a critic of single steps: what valuing whole chunks is worth.

Its critic sees one action and bootstraps from the next step; the actor climbs it with the first action of its
chunk. Acting still executes as many steps of a chunk as in the other arms.
"""

from learning.arms.arm import Arm

PER_STEP = Arm("per_step", "flow + per-step critic", critic_horizon=1)
