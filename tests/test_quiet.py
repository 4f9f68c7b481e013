"""Known notices are dropped at file descriptor 2, to which C++ writes; other lines pass."""

import os
import pathlib
import subprocess
import sys

import pytest

import imagefec
from imagefec.quiet import quiet_imports

CHECKOUT = str(pathlib.Path(imagefec.__file__).parents[1])
NOTICES = [  # as TensorFlow 2.21 and gym print them
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795506874.315023 26800 port.cc:153] oneDNN custom operations are on."
    " You may see slightly different",
    "I0000 00:00:1795506874.315932 26800 cudart_stub.cc:31] Could not find cuda drivers on your "
    "machine, GPU will not",
    "I0000 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available CPU "
    "instructions",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with "
    "the right flags.",
    "Gym has been unmaintained since 2022 and does not support NumPy 2.0 amongst other critical "
    "functionality.",
    "Please upgrade to Gymnasium, the maintained drop-in replacement of Gym, or contact the "
    "authors of your software",
    "Users of this version of Gym should be able to simply replace 'import gym' with "
    "'import gymnasium as gym'.",
    "See the migration guide at https://gymnasium.farama.org/introduction/migration_guide/.",
]


@pytest.mark.parametrize("notice", NOTICES)
def test_a_known_notice_is_dropped_and_its_neighbours_are_not(capfd, notice):
    with quiet_imports():
        os.write(2, f"before\n{notice}\nafter\n".encode())
    assert capfd.readouterr().err == "before\nafter\n"


def test_output_of_python_and_c_stays_in_order():
    # In a process of its own: pytest's sys.stderr does not write to file descriptor 2.
    done = python(
        "import os, sys\nfrom imagefec.quiet import quiet_imports\n"
        "print('before', file=sys.stderr)\n"
        "with quiet_imports():\n    print('from Python', file=sys.stderr, flush=True)\n"
        "    os.write(2, b'from C\\n')\n    print('again', file=sys.stderr, end='')\n"
        "print(', later', file=sys.stderr)"
    )
    assert done.stderr == b"before\nfrom Python\nfrom C\nagain, later\n"


def test_a_genuine_line_is_not_dropped_when_the_block_raises(capfd):
    def fail():
        os.write(2, b"genuine\n" + NOTICES[0].encode() + b"\n")
        raise ImportError("libcuda")

    with pytest.raises(ImportError, match="libcuda"), quiet_imports():
        fail()
    os.write(2, b"and on\n")
    assert capfd.readouterr().err == "genuine\nand on\n"


def test_a_last_line_without_its_end_and_broken_text_are_not_dropped(capfd):
    with quiet_imports():
        os.write(2, "größer \n".encode("latin-1") + b"no end")
    assert capfd.readouterr().err == "gr��er \nno end"


def test_standard_output_is_not_filtered(capfd):
    with quiet_imports():
        os.write(1, NOTICES[0].encode())
    assert capfd.readouterr().out == NOTICES[0]


def test_no_file_descriptor_is_left_open():
    folder = pathlib.Path("/proc/self/fd")

    def n_open():
        return len(list(folder.iterdir()))

    if not folder.is_dir():
        pytest.skip("this system does not list a process's files")
    before = n_open()
    for _ in range(5):
        with quiet_imports():
            pass
    assert n_open() == before


def test_a_process_without_stderr_can_import_too():
    done = python(
        "from imagefec.quiet import quiet_imports\nwith quiet_imports():\n    pass\nprint('done')",
        "2>&-",
    )
    assert (done.returncode, done.stdout) == (0, b"done\n")


def python(code, redirected=""):
    """Runs code in a fresh interpreter."""
    path = os.pathsep.join([CHECKOUT, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirected}', sys.executable, code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        timeout=60,
    )


def test_blocks_of_two_threads_at_the_same_time_leave_stderr_as_it_was():
    done = python(
        "import os, sys, threading\nfrom imagefec.quiet import quiet_imports\n"
        "inside, outside = threading.Event(), threading.Event()\n"
        "def first():\n    with quiet_imports():\n        inside.set()\n        other.wait()\n"
        "    outside.set()\n"
        "def second():\n    inside.wait()\n    with quiet_imports():\n        other.set()\n"
        "        outside.wait()\n"
        "other = threading.Event()\n"
        "threads = [threading.Thread(target=each) for each in (first, second)]\n"
        "[each.start() for each in threads]\n[each.join() for each in threads]\n"
        "os.write(2, b'after both\\n')"
    )
    assert (done.returncode, done.stderr) == (0, b"after both\n")
