"""What pyproject.toml cannot say: the folder experiments is installed as advrec_tf.experiments, and so takes no name of its own."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["advrec_tf*"]),
        *(f"advrec_tf.{name}" for name in find_packages(include=["experiments*"])),
    ],
    package_dir={"advrec_tf.experiments": "experiments"},
)
