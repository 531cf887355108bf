"""Fixtures of the tests in C++."""

import os
import shlex
import shutil
import sysconfig

import pytest


@pytest.fixture(scope="module")
def compiler():
    command = shlex.split(os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++")
    if shutil.which(command[0]) is None:
        pytest.skip(f"no C++ compiler ({command[0]}) here")
    return command
