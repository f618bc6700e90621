"""Build of the soft_flow_perception package."""

from setuptools import find_packages, setup

package_name = "soft_flow_perception"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["camera_transport.xml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + package_name]),
        ("share/" + package_name, ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="SOFT-FLOW maintainers",
    maintainer_email="maintainers@soft-flow.dev",
    description="Reads and calibrates cameras, and joins sensors into one observation a control tick.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "camera_node = soft_flow_perception.camera_node:main",
            "hand_eye_sampler_node = soft_flow_perception.hand_eye_sampler_node:main",
            "observation_node = soft_flow_perception.observation_node:main",
        ],
    },
)
