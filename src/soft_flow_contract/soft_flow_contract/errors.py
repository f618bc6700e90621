"""Errors that the whole project shares. Each says what was expected, what came, and what to do."""


class ContractError(ValueError):
    """Base of the errors of the contract."""


class SpecificationError(ContractError):
    """A task specification cannot be read or is not consistent."""


class SpecificationMismatch(ContractError):  # noqa: N818 - says what happened
    """Two sides carry different task specifications; the message names the first differing field."""


class ObservationError(ContractError):
    """An observation does not fit the specification or holds a value that is not finite."""


class ActionError(ContractError):
    """An action does not fit the specification or holds a value that is not finite."""
