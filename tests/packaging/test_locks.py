"""The locks: what is installed is pinned with the hashes of its wheels, torch and its CUDA libraries by version."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from locks.pins import TIERS, TORCH, is_torch_family, lock_path, pythons, read_constraints, read_lock

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
GOOD = f"six==1.17.0 \\\n    --hash=sha256:{'a' * 64}\n"


def direct(repository, tier):
    """What pyproject.toml asks for in that tier."""
    file = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    asked = {"run": file["project"]["dependencies"] + file["build-system"]["requires"]}
    asked |= file["project"]["optional-dependencies"]
    return [one for one in map(Requirement, asked[tier]) if one.name != "medim-forge"]


def all_pins(python):
    return {name: pin for tier in (*TIERS, TORCH) for name, pin in read_lock(lock_path(python, tier)).items()}


def unlocked(requirements, pins):
    """What of all that the requirements need here, and is installed, is not in the lock at the installed version."""
    found, seen = [], set()
    waiting = [(one, one.extras) for one in requirements]
    while waiting:
        requirement, extras = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            here = distribution(requirement.name)
        except PackageNotFoundError:
            found.append(f"{key[0]} is not installed")
            continue
        pin = pins.get(key[0])
        if pin is None or pin.version != here.version.partition("+")[0]:
            found.append(f"{key[0]} {here.version} is locked as {pin.version if pin else 'nothing'}")
        waiting += [
            (needed, needed.extras)
            for needed in map(Requirement, here.requires or [])
            if needed.marker is None or any(needed.marker.evaluate({"extra": one}) for one in ("", *extras))
        ]
    return sorted(found)


def test_every_python_that_the_project_names_has_every_lock(repository):
    assert pythons()
    there = {path.relative_to(repository / "locks") for path in (repository / "locks").rglob("*.txt")}
    assert there == {lock_path(p, t).relative_to(repository / "locks") for p in pythons() for t in (*TIERS, TORCH)}


@pytest.mark.parametrize("python", pythons())
def test_tiers_do_not_overlap_and_have_no_torch(python):
    tiers = [set(read_lock(lock_path(python, tier))) for tier in (*TIERS, TORCH)]
    assert all(tiers)
    assert sum(map(len, tiers)) == len(set().union(*tiers))
    assert not any(is_torch_family(name) for tier in tiers[:-1] for name in tier)
    assert all(map(is_torch_family, tiers[-1]))


@pytest.mark.parametrize("python", pythons())
def test_every_pin_of_constraints_is_locked_as_it_is_written(python, repository):
    constraints = read_constraints(repository / "constraints.txt")
    assert {name: pin.version for name, pin in all_pins(python).items() if name in constraints} == constraints


@pytest.mark.parametrize("python", pythons())
def test_every_direct_requirement_is_in_the_tier_that_asks_for_it_or_an_earlier_one(python, repository):
    there = set(read_lock(lock_path(python, TORCH)))
    for tier in TIERS:
        there |= set(read_lock(lock_path(python, tier)))
        assert {canonicalize_name(one.name) for one in direct(repository, tier)} <= there, tier


@pytest.mark.skipif(HERE not in pythons(), reason=f"no lock for Python {HERE}")
def test_all_that_is_needed_here_in_turn_is_locked_as_it_is_installed(repository):
    asked = direct(repository, "run") + direct(repository, "test")
    assert unlocked(asked, all_pins(HERE)) == []


@pytest.mark.skipif(HERE not in pythons(), reason=f"no lock for Python {HERE}")
def test_a_package_that_only_another_package_needs_is_missed_if_it_is_not_locked(repository):
    pins = all_pins(HERE)
    del pins["mpmath"]
    (fault,) = unlocked(direct(repository, "run"), pins)
    assert re.fullmatch(r"mpmath \S+ is locked as nothing", fault)


@pytest.mark.parametrize(
    "text",
    [
        f"--index-url https://index.example/simple\n{GOOD}",
        f"--find-links /somewhere\n{GOOD}",
        f"-r other.txt\n{GOOD}",
        GOOD.replace("six==1.17.0", "six @ file:///somewhere/six.whl"),
        GOOD.replace("==", ">="),
        GOOD.replace("==1.17.0", "==1.*"),
        GOOD.replace("sha256", "md5"),
        "six==1.17.0\n",
        GOOD + GOOD,
        GOOD.rpartition("    --hash")[0],
    ],
    ids=["index", "links", "file", "direct", "range", "star", "md5", "no hash", "twice", "cut"],
)
def test_a_lock_that_holds_anything_else_is_refused(text, tmp_path):
    path = tmp_path / "run.txt"
    path.write_text(GOOD)
    assert read_lock(path)["six"].hashes == ("a" * 64,)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"run.txt, line \d+: .*make lock"):
        read_lock(path)


def test_nothing_but_locks_install_fetches_packages(repository):
    text = (repository / "Makefile").read_text(encoding="utf-8")
    for line in [line for line in text.splitlines() if "pip install" in line or "pip download" in line]:
        assert "--no-index --no-deps --no-build-isolation" in line, line
    assert re.findall(r"locks/install \S+ (\w+)", text) == list(TIERS)
    script = (repository / "locks" / "install").read_text(encoding="utf-8")
    (fetching,) = [line for line in script.splitlines() if "pip install" in line]
    assert "--no-deps --only-binary :all:" in fetching
    calls = re.findall(r"^ .*from_wheels (.*)$", script, re.MULTILINE)
    assert calls == [
        '--require-hashes -r "$lock/$tier.txt" ;;',
        '-c "$lock/torch.txt" torch',
        '-r "$lock/torch.txt"',
    ]
