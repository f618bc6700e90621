"""What a policy says of its weights: to those who wait until new ones are about to act."""

from typing import Annotated, ClassVar

from pydantic import Field

from soft_flow_contract.strict_model import TopicModel

Version = Annotated[int, Field(ge=0)]


class PolicyState(TopicModel):
    """The JSON on `policy/state` (latched); published when a checkpoint is served, and whenever it changes.

    A run and a version together name weights, see `PolicyWeights`; a version is None where there are none.

    Attributes:
        run, version: of the weights that act.
        next_run, next_version: of those that are ready and act from the next chunk on.
        refused_run, refused_version: of those that were refused last, and
        refusal: why; empty if none were.
    """

    TOPIC: ClassVar[str] = "policy/state"

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
