"""Install the folder experiments as advrec_tf.experiments, so that it takes no top-level name."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["advrec_tf*"]),
        *(f"advrec_tf.{name}" for name in find_packages(include=["experiments*"])),
    ],
    package_dir={"advrec_tf.experiments": "experiments"},
)
