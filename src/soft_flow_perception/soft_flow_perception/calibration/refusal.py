"""The answer to a calibration that would be bad."""

from collections.abc import Sequence

from soft_flow_contract.errors import ContractError


class CalibrationRefusedError(ContractError):
    """A calibration is not written; each reason says what is wrong and what to do."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("no calibration is written:\n" + "\n".join(f"  - {reason}" for reason in reasons))
        self.reasons = list(reasons)
