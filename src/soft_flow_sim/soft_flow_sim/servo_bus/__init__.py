"""The simulated servo bus of the ORCA hand: Dynamixel protocol 2.0 on a pseudo-terminal."""
