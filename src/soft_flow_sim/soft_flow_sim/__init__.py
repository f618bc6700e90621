"""MuJoCo worlds, Gymnasium environments, scripted operators and the simulator node."""
