"""Calibrates cameras: intrinsics, and where they are mounted. Plain Python, no ROS."""
