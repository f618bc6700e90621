"""SOFT-FLOW itself: the value of action chunks, the losses, the update."""
