"""The simulated cell at the level of protocols: a libfranka server, and a world that outlives its clients."""
