"""Launch files, configuration, the launch runner for ROS 2 from wheels, and the soft-flow command."""
