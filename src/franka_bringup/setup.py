"""Build of the soft_flow_franka_bringup package."""

from setuptools import find_packages, setup

package_name = "soft_flow_franka_bringup"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + package_name]),
        ("share/" + package_name, ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="SOFT-FLOW maintainers",
    maintainer_email="maintainers@soft-flow.dev",
    description="Driver of a Franka arm over franky, and what franka_ros2 with crisp_controllers needs.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "fci_bridge_node = soft_flow_franka_bringup.fci_bridge_node:main",
            "robot_description_node = soft_flow_franka_bringup.robot_description_node:main",
            "command_relay_node = soft_flow_franka_bringup.command_relay_node:main",
        ],
    },
)
