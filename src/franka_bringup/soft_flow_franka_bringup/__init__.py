"""Driver of a Franka arm over franky, and what franka_ros2 with crisp_controllers needs."""
