"""Set-up, start-up, tests and health checks of the workspace."""
