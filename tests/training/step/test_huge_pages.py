"""Restarting a process once, with its arguments, to enable huge pages."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc on Linux only")

CHILD = """
import os, sys
from imagefec.training.step.huge_pages import use_huge_pages
print("started", os.getpid(), flush=True)
use_huge_pages()
print(sys.argv[1:], os.environ["GLIBC_TUNABLES"], os.getpid())
"""


def run(**environment):
    inherited = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, "one", "two words"],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return child.stdout.splitlines()


def test_the_process_restarts_once_with_its_id_and_arguments():
    first, second, last = run()
    assert first == second
    assert last == f"['one', 'two words'] glibc.malloc.hugetlb=1 {first.split()[1]}"


def test_other_tunables_are_preserved():
    assert (
        "glibc.malloc.tcache_count=7:glibc.malloc.hugetlb=1"
        in run(GLIBC_TUNABLES="glibc.malloc.tcache_count=7")[-1]
    )


def test_a_users_own_setting_prevents_the_restart():
    lines = run(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")
    assert len(lines) == 2
    assert "glibc.malloc.hugetlb=0" in lines[-1]
