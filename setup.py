from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="advrec_tf",
    version="0.1.0",
    description="Adversarial perturbations of recommender embeddings, and what helps, in TensorFlow 2",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["advrec_tf*", "experiments*"]),
    python_requires=">=3.10,<3.13",
    install_requires=[
        "tensorflow>=2.18,<3",
        "tensorboard>=2.18,<3",
        "numpy>=2.0",
        "pandas>=2.1",
        "scipy>=1.15",
        "absl-py>=2.0",
        "matplotlib>=3.8",
        "scikit-learn>=1.4",
        "joblib>=1.3",
        "tqdm>=4.65",
    ],
    extras_require={
        "test": ["pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.90", "ruff>=0.6", "nbclient>=0.10", "ipykernel>=6"],
        "notebooks": ["jupyter-core>=5", "nbclient>=0.10", "nbconvert>=7", "ipykernel>=6"],
        "bench": ["numba>=0.60"],
        "implicit": ["implicit>=0.7"],
        "dask": ["dask[distributed]>=2024.1"],
        "ray": ["ray>=2.9"],
    },
)
