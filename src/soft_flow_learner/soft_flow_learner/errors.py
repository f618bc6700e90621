"""Errors of the learner. Each says what was expected, what came, and what to do."""


class LearnerError(ValueError):
    """Base of the learner's errors."""


class BagError(LearnerError):
    """A bag cannot be used; the message is the reason."""


class EpisodeError(LearnerError):
    """An episode of a bag cannot be used; the message is the reason."""


class NoDataError(LearnerError):
    """Nothing is left to train on."""


class DivergenceError(LearnerError):
    """Training went wrong (not finite, exploding) and was stopped; the message says where and why."""


class ResumeError(LearnerError):
    """A training run cannot be continued from what lies in its folder."""
