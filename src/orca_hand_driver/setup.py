"""Build of the orca_hand_driver package."""

from setuptools import find_packages, setup

package_name = "orca_hand_driver"

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
    description="Lifecycle driver of an ORCA hand over orca_core.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "orca_hand_node = orca_hand_driver.orca_hand_node:main",
        ],
    },
)
