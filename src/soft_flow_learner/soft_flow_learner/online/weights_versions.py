"""Versions of the weights that a learner publishes: they rise over all its starts, whatever is lost."""

import uuid
from pathlib import Path

from pydantic import Field, ValidationError

from soft_flow_contract.durable_files import write_durably
from soft_flow_contract.strict_model import StrictModel, describe
from soft_flow_learner.errors import ResumeError

FILE_NAME = "published.json"


class Published(StrictModel):
    """Content of `published.json`: what was published last.

    Attributes:
        run_id: of all weights of this run; another run, in the same folder too, has another one.
        version: of the weights.
        updates: of the whole run behind them.
    """

    run_id: str = Field(min_length=1)
    version: int = Field(ge=0)
    updates: int = Field(ge=0)


class WeightsVersions:
    """Numbers the weights of the run in a folder.

    A version is the number of updates behind the weights, as long as nothing is lost. A learner that was
    killed goes on from its checkpoint, perhaps behind what it had published: it then counts on from there, so
    that its policy takes what it publishes, and refuses what is still under way from before. What was
    published is on the disk before it goes out.

    Attributes:
        run_id: see `Published`.
        version: of the weights that were published last; None before the first.
        note: for people, if updates were lost.
    """

    def __init__(self, folder: Path) -> None:
        """Continue the run in `folder`, or begin one.

        Raises:
            ResumeError: what was published last cannot be read.
        """
        self._path = folder / FILE_NAME
        last = self._read()
        self.run_id = last.run_id if last else f"{folder.resolve()}#{uuid.uuid4().hex[:8]}"
        self.version = last.version if last else None
        self.note = ""
        self._last = last
        self._ahead: int | None = None  # of versions over updates; None before the first publication

    def publish(self, updates: int) -> int:
        """The version of weights after so many updates of the run, noted down: they may go out."""
        if self._ahead is None:
            self._ahead = self._begin(updates)
        published = Published(run_id=self.run_id, version=updates + self._ahead, updates=updates)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self._path, published.model_dump_json().encode())
        self.version = published.version
        return published.version

    def _begin(self, updates: int) -> int:
        last = self._last
        if last is None:
            return 0
        if updates >= last.updates:
            return last.version - last.updates
        ahead = last.version + 1 - updates
        self.note = (
            f"goes on after {updates} updates, {last.updates - updates} fewer than were published: their "
            f"weights are version {last.version + 1} of run '{self.run_id}'"
        )
        return ahead

    def _read(self) -> Published | None:
        if not self._path.exists():
            return None
        try:
            return Published.model_validate_json(self._path.read_text(encoding="utf-8"))
        except ValidationError as error:
            reason = describe(error, Published, str(self._path))
            raise ResumeError(f"{reason}; remove the file, and the run goes on as another one") from error
