"""The normalizing-flow policy, its checkpoints and the node that serves action chunks."""
