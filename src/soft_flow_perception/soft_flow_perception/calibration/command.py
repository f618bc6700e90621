"""Calibrate the cameras of a cell: what a camera measures (intrinsics), and where it is mounted (hand-eye).

In this order: print a board, calibrate each camera's intrinsics, record samples with hand_eye_sampler_node,
calibrate where each camera is mounted. docs/camera_calibration.md says how.
"""

import argparse
import sys
from collections.abc import Sequence

from soft_flow_contract.errors import ContractError
from soft_flow_perception.calibration import board_command, hand_eye_command, intrinsics_command

COMMANDS = {"board": board_command, "intrinsics": intrinsics_command, "hand-eye": hand_eye_command}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all parts of the tool."""
    parser = argparse.ArgumentParser(
        prog="soft-flow calibrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    for name, module in COMMANDS.items():
        text = (module.__doc__ or "").split(": ", 1)[1]
        module.add_arguments(parts.add_parser(name, help=text, description=text))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status: 0, or 1 with the reason why there is no calibration."""
    arguments = build_parser().parse_args(argv)
    try:
        return COMMANDS[arguments.part].run(arguments)
    except ContractError as error:
        print(f"soft-flow calibrate {arguments.part}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"soft-flow calibrate {arguments.part}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
