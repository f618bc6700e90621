"""Learning experiments: arms, seeds and starts that are compared fairly, and may be killed at any time."""
