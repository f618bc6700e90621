"""Give every test process a ROS domain of its own, so that graphs of parallel runs never meet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

_domain = ExitStack()


@contextmanager
def _own_domain() -> Iterator[None]:
    """Hold a free ROS_DOMAIN_ID for as long as the test process lives, unless one was set on purpose."""
    if "ROS_DOMAIN_ID" in os.environ:
        yield
        return
    from domain_coordinator import domain_id

    with domain_id() as identifier:
        os.environ["ROS_DOMAIN_ID"] = str(identifier)
        yield
        del os.environ["ROS_DOMAIN_ID"]


def pytest_configure(config: pytest.Config) -> None:
    """Take the domain before any test module is imported."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    _domain.enter_context(_own_domain())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the domain back."""
    _domain.close()
