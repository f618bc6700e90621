"""Build of the soft_flow_sim package."""

from setuptools import find_packages, setup

package_name = "soft_flow_sim"

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
    description="MuJoCo worlds, Gymnasium environments, scripted operators and the simulator node.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "simulator_node = soft_flow_sim.simulator_node:main",
            "protocol_world = soft_flow_sim.protocol.protocol_world:main",
            "servo_bus = soft_flow_sim.servo_bus.main:main",
            "protocol_simulator_node = soft_flow_sim.protocol.protocol_simulator_node:main",
        ],
        "gymnasium.envs": ["__root__ = soft_flow_sim.environments:register_environments"],
        "soft_flow.teleop_devices": ["scripted = soft_flow_sim.scripted_device:ScriptedDevice"],
    },
)
