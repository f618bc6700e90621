"""`python -m soft_flow_bringup.report RUN`: render the report of a run again."""

import argparse
import sys
from pathlib import Path

from soft_flow_bringup.report.episode_log import RunDataError
from soft_flow_bringup.report.page import write_report
from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification


def main() -> int:
    """Parse, render, say where it is."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run, e.g. runs/2025-01-31-120000")
    parser.add_argument(
        "--task", type=Path, default=Path("config/tasks/scissors.yaml"), help="task specification"
    )
    arguments = parser.parse_args()
    try:
        print(write_report(arguments.run, TaskSpecification.load(arguments.task)))
    except (RunDataError, ContractError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
