"""A policy acts in closed loop, in many worlds at once: plan a chunk, execute its first steps, plan again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from soft_flow_contract.image_codec import encode_image
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import EncodedEpisode, Episode, Source
from soft_flow_learner.training.compute import to_device
from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.policy import FlowPolicy

Images = Mapping[str, np.ndarray]  # by camera, uint8, RGB
NO_IMAGES: Images = {}


class Act(Protocol):
    """Chooses chunks."""

    def __call__(self, observations: np.ndarray, noise: np.ndarray, images: Images = NO_IMAGES) -> np.ndarray:
        """Chunks (B, T, A), contract space, not clipped.

        Args:
            observations: (B, P) proprioception.
            noise: (B, N, T, A) standard normal, for N candidates.
            images: (B, height, width, 3) of each camera, if the task has any.
        """
        ...


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


@runtime_checkable
class SeeingWorld(World, Protocol):
    """A world with cameras. They look when they are asked to: a policy needs images once a chunk."""

    def look(self) -> Images:
        """Images (height, width, 3) that belong to the last observation."""
        ...


@dataclass
class Recording:
    """An episode as it is made.

    Attributes:
        seed: of its start.
        observations: N + 1 of (P,).
        ticks: N.
        images: camera -> N + 1 images, compressed without loss; empty if they are not kept.
    """

    seed: int
    observations: list[np.ndarray]
    ticks: list[Tick] = field(default_factory=list)
    images: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, tick: Tick) -> None:
        """Append a tick."""
        self.ticks.append(tick)
        self.observations.append(tick.observation)

    def keep(self, images: Images) -> None:
        """Append what belongs to the last observation."""
        for name, image in images.items():
            data = np.frombuffer(encode_image(image, "png"), dtype=np.uint8)
            self.images.setdefault(name, []).append(data)

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
        """The episode as the learner reads it, its images still compressed."""
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
            images=self.images,
            source=source,
        )
        return Episode(record, {})


def policy_act(policy: FlowPolicy, temperature: float) -> Act:
    """How a policy acts: a denoised sample for each observation, from the first of its noises."""
    device = next(policy.parameters()).device

    def act(observations: np.ndarray, noise: np.ndarray, images: Images = NO_IMAGES) -> np.ndarray:
        with torch.inference_mode():
            first = to_device(noise[:, 0].copy(), device)
            sample = policy.sample(batch_of(observations, images, device), temperature, first, denoise=True)
        return sample.actions.cpu().numpy()

    return act


def batch_of(observations: np.ndarray, images: Images, device: torch.device) -> ObservationBatch:
    """Observations (B, P) and images (B, height, width, 3) of each camera as a policy takes them."""
    seen = {name: to_device(stack, device) for name, stack in images.items()}
    return ObservationBatch(proprioception=to_device(observations, device), images=seen)


class Player:
    """Plays an episode in a world.

    Attributes:
        episode: as far as it was played.
    """

    def __init__(self, world: World, start: int, keep_images: bool) -> None:
        """Begin the episode of `start`."""
        self._world, self._keep_images = world, keep_images
        self.episode = Recording(start, [world.reset(start)])
        self._see()

    def _see(self) -> None:
        self._images: Images | None = None
        if self._keep_images:
            self.episode.keep(self.look())

    def look(self) -> Images:
        """What the cameras see; nothing if the world has none."""
        if self._images is None:
            self._images = self._world.look() if isinstance(self._world, SeeingWorld) else NO_IMAGES
        return self._images

    def play(self, actions: np.ndarray) -> None:
        """Execute actions (h, A), or those until the episode is over."""
        for action in actions:
            self.episode.add(self._world.step(action))
            self._see()
            if self.episode.over:
                return


def roll_out(
    worlds: Sequence[World],
    act: Act,
    starts: Sequence[int],
    specification: TaskSpecification,
    seed: int,
    candidates: int = 1,
    keep_images: bool = False,
) -> list[Recording]:
    """Episodes from `starts` (seeds of the worlds), in their order, as many at a time as there are worlds.

    The noise of a chunk follows from `seed`, the start and the chunk's number: policies that are compared
    from the same starts get the same noise. There are `candidates` N of them to choose from. Images of every
    step are made and kept with `keep_images` only; otherwise those that chunks are planned from.
    """
    shape = (candidates, specification.chunk.length, specification.action_dimension)
    waiting = list(starts)[::-1]
    playing: dict[int, Player] = {}
    done: dict[int, Recording] = {}
    while waiting or playing:
        for slot, world in enumerate(worlds):
            if slot not in playing and waiting:
                playing[slot] = Player(world, waiting.pop(), keep_images)
        players = list(playing.items())
        episodes = [player.episode for _, player in players]
        observations = np.stack([episode.observations[-1] for episode in episodes]).astype(np.float32)
        noise = np.stack(
            [
                np.random.default_rng((seed, episode.seed, len(episode.ticks))).standard_normal(shape)
                for episode in episodes
            ]
        ).astype(np.float32)
        images = _stack([player.look() for _, player in players])
        chunks = act(observations, noise, images) if images else act(observations, noise)
        for (slot, player), chunk in zip(players, chunks, strict=True):
            player.play(chunk[: specification.chunk.executed])
            if player.episode.over:
                done[player.episode.seed] = playing.pop(slot).episode
    return [done[start] for start in starts]


def _stack(images: Sequence[Images]) -> Images:
    return {name: np.stack([seen[name] for seen in images]) for name in images[0]}
