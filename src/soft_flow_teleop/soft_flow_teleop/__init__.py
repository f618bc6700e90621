"""Teleoperation devices and the node that turns them into actions."""
