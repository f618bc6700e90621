"""What a policy says of its weights: to those who wait until new ones are about to act."""

from typing import Annotated

from pydantic import Field, ValidationError

from soft_flow_contract.errors import ContractError
from soft_flow_contract.strict_model import StrictModel, describe

Version = Annotated[int, Field(ge=0)]


class PolicyState(StrictModel):
    """The JSON on `policy/state` (latched); published when a checkpoint is served, and whenever it changes.

    A run and a version together name weights, see `PolicyWeights`; a version is None where there are none.

    Attributes:
        run, version: of the weights that act.
        next_run, next_version: of those that are ready and act from the next chunk on.
        refused_run, refused_version: of those that were refused last, and
        refusal: why; empty if none were.
    """

    run: str = ""
    version: Version | None = None
    next_run: str = ""
    next_version: Version | None = None
    refused_run: str = ""
    refused_version: Version | None = None
    refusal: str = ""

    def will_fly(self, run: str, version: int) -> bool:
        """Whether the next chunk is planned with these weights, or with newer ones of their run."""
        coming = (self.run, self.version) if self.next_version is None else (self.next_run, self.next_version)
        return coming[0] == run and coming[1] is not None and coming[1] >= version

    def refuses(self, run: str, version: int) -> bool:
        """Whether these weights were refused."""
        return bool(self.refusal) and (self.refused_run, self.refused_version) == (run, version)

    def to_json(self) -> str:
        """The text to publish."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> "PolicyState":
        """Read the published text.

        Raises:
            ContractError: naming each field that does not fit.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ContractError(describe(error, cls, "policy/state")) from error
