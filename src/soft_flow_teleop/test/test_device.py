"""Finding devices and reading their options."""

from importlib.metadata import EntryPoint

import pytest

from soft_flow_teleop.device import ENTRY_POINT_GROUP, DeviceError, TeleopDevice, find_device, parse_options


def points(*names_and_values: tuple[str, str]) -> list[EntryPoint]:
    return [EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in names_and_values]


def test_a_device_is_found_by_its_registered_name() -> None:
    found = find_device("any", points(("any", "soft_flow_teleop.device:TeleopDevice")))
    assert found is TeleopDevice


def test_an_unknown_device_is_refused_listing_those_that_are_installed() -> None:
    available = points(("scripted", "a:B"), ("keyboard", "a:C"))
    with pytest.raises(DeviceError, match="installed: keyboard, scripted; did you mean 'keyboard'?"):
        find_device("keybord", available)


def test_without_any_device_the_refusal_says_so() -> None:
    with pytest.raises(DeviceError, match="installed: none$"):
        find_device("keyboard", [])


def test_a_class_that_is_no_device_is_refused() -> None:
    with pytest.raises(DeviceError, match="is not a TeleopDevice"):
        find_device("wrong", points(("wrong", "builtins:dict")))


def test_options_are_pairs_and_empty_ones_are_skipped() -> None:
    assert parse_options(["", "port = /dev/ttyUSB0", "url=a=b", ""]) == {"port": "/dev/ttyUSB0", "url": "a=b"}


def test_an_option_without_a_value_is_refused() -> None:
    with pytest.raises(DeviceError, match="'fast': expected key=value"):
        parse_options(["fast"])
