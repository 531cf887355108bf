"""What pyproject.toml cannot say: the example data travels inside the package."""

from setuptools import find_packages, setup

setup(
    exclude_package_data={"elman.examples": ["make_terms.py", "make_sentences.py"]},
    packages=[*find_packages("src"), "elman.examples"],
    package_dir={"": "src", "elman.examples": "examples"},
    package_data={"elman": ["py.typed"], "elman.examples": ["data/*"]},
)
