"""What of the build pyproject.toml cannot say: the sweeps of sweeps/ are shipped in the package."""

from setuptools import find_packages, setup

SWEEPS = "oneshot.shipped_sweeps"

setup(
    packages=[*find_packages(include=["oneshot*"]), SWEEPS],
    package_dir={SWEEPS: "sweeps"},
)
