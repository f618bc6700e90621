"""Build of the soft_flow_bringup package."""

import os
from glob import glob

from setuptools import find_packages, setup

package_name = "soft_flow_bringup"


def shared(folder: str, pattern: str) -> tuple[str, list[str]]:
    """Install the workspace's own launch or config files as this package's share."""
    found = sorted(glob(os.path.join("..", "..", folder, pattern)))
    return (f"share/{package_name}/{folder}", [file for file in found if os.path.isfile(file)])


setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["report/*.j2"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + package_name]),
        ("share/" + package_name, ["package.xml"]),
        shared("launch", "*.launch.xml"),
        shared("config", "*.yaml"),
        shared("config/tasks", "*.yaml"),
        shared("config/robots", "*.yaml"),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="SOFT-FLOW maintainers",
    maintainer_email="maintainers@soft-flow.dev",
    description="Launch files, configuration, the launch runner for ROS 2 from wheels, the soft-flow script.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [],
    },
)
