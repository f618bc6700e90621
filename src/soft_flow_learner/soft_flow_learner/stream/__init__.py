"""Transitions as a stream: staged to episodes, corrected labels, and closed bags played to a learner."""
