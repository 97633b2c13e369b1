"""Which of the wheels that an index has go into a lock."""

from __future__ import annotations

from itertools import combinations

import pytest
from packaging.markers import Marker

from locks.pins import Pin
from locks.resolve import PLATFORMS, environment, marker_of, pin_of

NAMES = {
    "demo-1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl": True,
    "demo-1.0-cp311-cp311-manylinux_2_28_aarch64.whl": True,
    "demo-1.0-cp311-cp311-macosx_11_0_arm64.whl": True,
    "demo-1.0-cp39-abi3-macosx_10_9_universal2.whl": True,
    "demo-1.0-py2.py3-none-any.whl": True,
    "demo-1.0-cp312-cp312-manylinux_2_28_x86_64.whl": False,
    "demo-1.0-cp312-abi3-manylinux_2_28_x86_64.whl": False,
    "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl": False,
    "demo-1.0-cp311-cp311-win_amd64.whl": False,
    "demo-1.0-cp311-cp311-macosx_11_0_x86_64.whl": False,
    "demo-1.0-pp311-pypy311_pp73-manylinux_2_28_x86_64.whl": False,
}


def package(names, **more):
    wheels = [{"url": f"https://index.example/{name}", "hashes": {"sha256": name}} for name in names]
    return {"name": "demo", "version": "1.0", "wheels": wheels, **more}


def test_a_lock_holds_the_wheels_that_its_python_installs_on_our_platforms():
    chosen = pin_of(package(NAMES), "3.11")
    assert chosen == Pin("demo", "1.0", "", tuple(sorted(name for name, fits in NAMES.items() if fits)))


def test_a_platform_without_a_wheel_is_named():
    linux = [name for name in NAMES if "linux" in name]
    with pytest.raises(ValueError, match=r"demo 1\.0 has no wheel for Python 3\.11 on darwin arm64"):
        pin_of(package(linux), "3.11")
    only = pin_of(package(linux, marker="sys_platform == 'linux'"), "3.11")
    assert (only.marker, len(only.hashes)) == ("sys_platform == 'linux'", 2)


def test_torch_and_its_cuda_libraries_have_a_version_and_no_hash():
    cuda = package(NAMES, marker="platform_system == 'Linux'") | {"name": "nvidia-cublas"}
    assert pin_of(cuda, "3.11").as_line() == "nvidia-cublas==1.0 ; sys_platform == 'linux'\n"


def test_a_marker_is_true_where_it_should_be_and_nowhere_else():
    for count in range(1, len(PLATFORMS)):
        for needed in combinations(PLATFORMS, count):
            marker = Marker(marker_of(list(needed)))
            assert {one for one in PLATFORMS if marker.evaluate(environment("3.11", *one))} == set(needed)
    assert marker_of(list(PLATFORMS)) == ""
