"""The command arbiter (the only sender of commands) and the episode node (labels and bags)."""
