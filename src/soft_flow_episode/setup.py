"""Build of the soft_flow_episode package."""

from setuptools import find_packages, setup

package_name = "soft_flow_episode"

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
    description="The command arbiter (the only sender of commands) and the episode node (labels and bags).",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "command_arbiter_node = soft_flow_episode.command_arbiter_node:main",
            "episode_node = soft_flow_episode.episode_node:main",
        ],
    },
)
