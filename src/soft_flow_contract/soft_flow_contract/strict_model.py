"""Base of configuration models: frozen, unknown keys refused by name together with the nearest known key."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import Self

from soft_flow_contract.errors import ContractError, SpecificationError


class StrictModel(BaseModel):
    """Frozen pydantic model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _known_keys(model: Any, location: tuple[int | str, ...]) -> list[str]:  # noqa: ANN401 - walks types
    """Field names of the model that `location` leads to, or an empty list."""
    for part in location:
        if isinstance(part, int) or not hasattr(model, "model_fields"):
            continue
        field = model.model_fields.get(part)
        if field is None:
            return []
        model = field.annotation
        while not hasattr(model, "model_fields") and get_args(model):
            model = get_args(model)[0]
    return list(getattr(model, "model_fields", {}))


def describe(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One line for each problem: where it is, what is wrong, and the nearest known key if one is unknown."""
    lines = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"]) or "top level"
        text = item["msg"]
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, item["loc"][:-1])
            near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.4)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
            text = f"unknown key; {hint}"
        lines.append(f"{source}: {place}: {text}")
    return "\n".join(lines)


class TopicModel(StrictModel):
    """A strict model that is published as JSON text on the topic `TOPIC`."""

    TOPIC: ClassVar[str]

    def to_json(self) -> str:
        """The text to publish."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the published text.

        Raises:
            ContractError: naming each field that does not fit.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ContractError(describe(error, cls, cls.TOPIC)) from error


class YamlModel(StrictModel):
    """A strict model that is read from a YAML file."""

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], source: str) -> Self:
        """Validate `data`; `source` names where it came from.

        Raises:
            SpecificationError: with one line for each problem.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise SpecificationError(describe(error, cls, source)) from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read and validate a YAML file.

        Raises:
            SpecificationError: the file is missing, is not YAML, or does not fit the model.
        """
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SpecificationError(f"{path}: cannot be read ({error.strerror}); check the path") from error
        except yaml.YAMLError as error:
            raise SpecificationError(f"{path}: is not valid YAML: {error}") from error
        if not isinstance(data, Mapping):
            raise SpecificationError(
                f"{path}: expected a mapping at the top level, got {type(data).__name__}"
            )
        return cls.from_mapping(data, str(path))
