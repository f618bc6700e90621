"""Build of the soft_flow_learner package."""

from setuptools import find_packages, setup

package_name = "soft_flow_learner"

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
    description="The chunked critic, the four stages, replay, offline trainer and learner node.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "learner_node = soft_flow_learner.online.learner_node:main",
            "bag_player_node = soft_flow_learner.stream.bag_player_node:main",
        ],
    },
)
