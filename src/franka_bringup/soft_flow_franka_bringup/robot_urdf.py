"""Prints a cell's URDF for tools that read files: python -m soft_flow_franka_bringup.robot_urdf CELL."""

import argparse
import sys

from soft_flow_contract.errors import ContractError
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.cell_kinematics import cell_kinematics
from soft_flow_franka_bringup.robot_description import urdf


def main(arguments: list[str] | None = None) -> int:
    """Print the URDF; returns the exit status."""
    parser = argparse.ArgumentParser(prog="robot_urdf", description="prints the URDF of a robot cell")
    parser.add_argument("robot_file", help="robot cell (YAML), such as config/robots/fr3_orca_right.yaml")
    try:
        kinematics = cell_kinematics(RobotCell.load(parser.parse_args(arguments).robot_file))
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if kinematics.unknown_hand:
        print(f"warning: {kinematics.unknown_hand}", file=sys.stderr)
    print(urdf(kinematics.tree))
    return 0


if __name__ == "__main__":
    sys.exit(main())
