"""`board`: draw the board to print."""

import argparse
from pathlib import Path

from soft_flow_perception.calibration.board_drawing import PAGES, write_page
from soft_flow_perception.calibration.charuco_board import Board


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    usual = Board()
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a name in .pdf or .png")
    parser.add_argument("--page", choices=sorted(PAGES), default="a4", help="(default: %(default)s)")
    parser.add_argument(
        "--squares",
        default=f"{usual.squares_x}x{usual.squares_y}",
        help="across x down (default: %(default)s)",
    )
    parser.add_argument("--square", type=float, default=usual.square, help="mm (default: %(default)s)")
    parser.add_argument("--marker", type=float, default=usual.marker, help="mm (default: %(default)s)")
    parser.add_argument("--dictionary", default=usual.dictionary, help="(default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Write the page, and the parameters beside it."""
    across, _, down = arguments.squares.partition("x")
    lengths = {"square": arguments.square, "marker": arguments.marker, "dictionary": arguments.dictionary}
    board = Board.from_mapping({"squares_x": across, "squares_y": down, **lengths}, "board")
    write_page(board, arguments.output, arguments.page)
    parameters = arguments.output.with_suffix(".yaml")
    board.write(parameters)
    print(f"{arguments.output}: {board.description}; print it at 100 %, glue it to something flat and stiff")
    print(f"{parameters}: for --board; measure the print and correct its lengths")
    return 0
