"""Reads episode bags and trains the policy from them."""

import os

# OpenMP reads this when PyTorch is loaded. By default its threads spin while they wait for each other, and so
# on a busy machine take the processor from the one they wait for: an update of 0.12 s then takes 1 to 3 s.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
