"""Random faults in the running graph of real drivers on simulated hardware, and how the robot stops."""
