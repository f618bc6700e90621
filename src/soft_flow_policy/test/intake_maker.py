"""Makes an intake of weights in front of a served policy, for tests without a graph."""

import queue
from pathlib import Path

import numpy as np

from soft_flow_contract.steps import ObservationData
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.served_policy import Sampling, ServedPolicy
from soft_flow_policy.weights import WeightsRecord
from soft_flow_policy.weights_intake import WeightsIntake, WeightsNews


class Intake:
    """An intake in front of a served policy of version 7 of run 'run', and what it tells."""

    def __init__(self, folder: Path, policy: FlowPolicy, candidates: int = 1) -> None:
        sampling = Sampling(0, 1.0, True, candidates)
        self.policy = ServedPolicy(str(folder), sampling, "torch", policy.specification)
        self.news: queue.Queue[WeightsNews] = queue.Queue()
        self.intake = WeightsIntake(self._take_news, lambda: 5_000_000_000)
        self.intake.serve(self.policy)
        specification = policy.specification
        images = {
            camera.name: np.zeros((camera.height, camera.width, 3), np.uint8)
            for camera in specification.observation.cameras
        }
        proprioception = np.zeros(specification.proprioception_dimension, np.float32)
        self.observation = ObservationData(0, proprioception, images)

    def _take_news(self) -> None:
        for news in self.intake.news():
            self.news.put(news)

    def offer(self, *records: WeightsRecord) -> None:
        """Offer weights, and wait until the intake has nothing more to do."""
        for record in records:
            self.intake.offer(lambda record=record: record)
        thread = self.intake._thread
        if thread is not None:
            thread.join()

    def refusal(self) -> str:
        """The reason of the next refusal."""
        news = self.news.get(timeout=60)
        assert news.refused
        return news.text

    def plan(self) -> np.ndarray:
        """The actions (T, A) of a chunk, always for the same observation."""
        return self.intake.plan(self.observation).actions
