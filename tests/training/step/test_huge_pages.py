"""imagefec.training.step.huge_pages: a process that starts itself anew, once, with its arguments."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="a matter of Linux's C library"
)

CHILD = """
import os, sys
from imagefec.training.step.huge_pages import use_huge_pages
print("began", os.getpid(), flush=True)
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


def test_the_process_starts_anew_once_under_its_own_number_with_its_arguments():
    first, second, last = run()
    assert first == second
    assert last == f"['one', 'two words'] glibc.malloc.hugetlb=1 {first.split()[1]}"


def test_other_tunables_are_kept():
    assert (
        "glibc.malloc.tcache_count=7:glibc.malloc.hugetlb=1"
        in run(GLIBC_TUNABLES="glibc.malloc.tcache_count=7")[-1]
    )


def test_who_has_decided_is_left_alone():
    lines = run(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")
    assert len(lines) == 2
    assert "glibc.malloc.hugetlb=0" in lines[-1]
