"""What all packages agree on: task specification, action space, limits, topics, conversions."""
