"""The learner beside the running robot."""
