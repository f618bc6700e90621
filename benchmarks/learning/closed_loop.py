"""A policy acts in closed loop, in many worlds at once: plan a chunk, execute its first steps, plan again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import EncodedEpisode, Episode, Source
from soft_flow_policy.policy import FlowPolicy

# Observations (B, P) and standard normal noise (B, N, T, A) to chunks (B, T, A), contract space, not clipped.
Act = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Tick:
    """What came of an action.

    Attributes:
        observation: (P,) after it.
        executed: (A,) what was really executed, contract space.
        reward: of this tick.
        flags: stages of success reached so far.
        terminal: the task ended.
        truncated: the time limit ended the episode.
        valid: False if the world broke; the episode is then over and says nothing.
    """

    observation: np.ndarray
    executed: np.ndarray
    reward: float
    flags: dict[str, bool]
    terminal: bool
    truncated: bool
    valid: bool = True

    @property
    def last(self) -> bool:
        """Whether the episode is over."""
        return self.terminal or self.truncated or not self.valid


class World(Protocol):
    """One world; the start of an episode follows from a seed."""

    def reset(self, seed: int) -> np.ndarray:
        """Begin the episode of `seed`; returns the first observation (P,)."""
        ...

    def step(self, action: np.ndarray) -> Tick:
        """Act for one tick with (A,) in contract space."""
        ...


@dataclass
class Recording:
    """An episode as it is made."""

    seed: int
    observations: list[np.ndarray]
    ticks: list[Tick] = field(default_factory=list)

    def add(self, tick: Tick) -> None:
        """Append a tick."""
        self.ticks.append(tick)
        self.observations.append(tick.observation)

    @property
    def over(self) -> bool:
        """Whether the last tick ended the episode."""
        return bool(self.ticks) and self.ticks[-1].last

    @property
    def valid(self) -> bool:
        """Whether the world held out."""
        return all(tick.valid for tick in self.ticks)

    def reached(self, stage: str) -> bool:
        """Whether a stage of success was reached."""
        return self.valid and self.ticks[-1].flags[stage]

    def episode(self, identifier: str, success_flag: str, source: Source) -> Episode:
        """The episode as the learner stores it."""
        ticks = self.ticks
        record = EncodedEpisode(
            identifier=identifier,
            outcome="success" if self.reached(success_flag) else "failure",
            start_ns=0,
            proprioception=np.stack(self.observations).astype(np.float32),
            actions=np.stack([tick.executed for tick in ticks]).astype(np.float32),
            rewards=np.array([tick.reward for tick in ticks], dtype=np.float32),
            flags={name: np.array([tick.flags[name] for tick in ticks]) for name in ticks[0].flags},
            terminal=ticks[-1].terminal,
            images={},
            source=source,
        )
        return Episode(record, {})


def policy_act(policy: FlowPolicy, temperature: float) -> Act:
    """How a policy acts: a denoised sample for each observation, from the first of its noises."""

    def act(observations: np.ndarray, noise: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            sample = policy.sample(
                {"proprioception": torch.from_numpy(observations), "images": {}},
                temperature,
                torch.from_numpy(noise[:, 0]),
                denoise=True,
            )
        return sample.actions.numpy()

    return act


def roll_out(
    worlds: Sequence[World],
    act: Act,
    starts: Sequence[int],
    specification: TaskSpecification,
    seed: int,
    candidates: int = 1,
) -> list[Recording]:
    """Episodes from `starts` (seeds of the worlds), in their order, as many at a time as there are worlds.

    The noise of a chunk follows from `seed`, the start and the chunk's number: policies that are compared
    from the same starts get the same noise. There are `candidates` N of them to choose from.
    """
    shape = (candidates, specification.chunk.length, specification.action_dimension)
    waiting = list(starts)[::-1]
    playing: dict[int, Recording] = {}
    done: dict[int, Recording] = {}
    while waiting or playing:
        for slot in range(len(worlds)):
            if slot not in playing and waiting:
                start = waiting.pop()
                playing[slot] = Recording(start, [worlds[slot].reset(start)])
        observations = np.stack([playing[slot].observations[-1] for slot in playing]).astype(np.float32)
        noise = np.stack(
            [
                np.random.default_rng((seed, episode.seed, len(episode.ticks))).standard_normal(shape)
                for episode in playing.values()
            ]
        ).astype(np.float32)
        chunks = act(observations, noise)
        for slot, chunk in zip(list(playing), chunks, strict=True):
            episode = playing[slot]
            for action in chunk[: specification.chunk.executed]:
                episode.add(worlds[slot].step(action))
                if episode.over:
                    done[episode.seed] = playing.pop(slot)
                    break
    return [done[start] for start in starts]
