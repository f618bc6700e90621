"""A whole graph in one process, to be killed: `run_fake_graph.py OUTPUT EPISODES DOMAIN [HANG_SEED]`.

With HANG_SEED it prints `hanging` in the middle of that episode and waits to be killed.
"""

import signal
import sys
from pathlib import Path

from fake_cell import FakeCell, FakePolicy, Graph, overrides

from soft_flow_episode.command_arbiter_node import CommandArbiterNode
from soft_flow_episode.episode_node import EpisodeNode


def main() -> None:
    """Run until the episodes are done."""
    output, episodes, domain = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    hang_seed = int(sys.argv[4]) if len(sys.argv) > 4 else None
    graph = Graph(domain)
    cell = graph.add(FakeCell(graph.context))
    graph.add(FakePolicy(graph.context))
    latch = str(output.parent / "latch.json")
    graph.add(CommandArbiterNode(graph.context, overrides(lockstep=True, latch_file=latch)))
    graph.add(EpisodeNode(graph.context, overrides(lockstep=True, output=str(output), episodes=episodes)))

    def hang(seed: int, tick: int) -> None:
        if seed == hang_seed and tick == 6:
            print("hanging", flush=True)
            signal.pause()

    cell.on_tick = hang
    status = graph.spin_to_exit()
    graph.close()
    sys.exit(status)


if __name__ == "__main__":
    main()
