"""Episodes with drawn scenes in place of a world's, for benchmarks of what reads them."""
