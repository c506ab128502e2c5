"""What a command says when something is wrong, or when nobody listens any more."""

import errno
import subprocess
import sys

import pytest

from constellation.common.errors import (
    EXIT_OUTPUT_CLOSED,
    BitstreamError,
    UserError,
    naming,
    user_errors_to_exit,
)

TALKS_ON = """
from constellation.common.errors import user_errors_to_exit
with user_errors_to_exit():
    for n in range(10**6): print(n)
"""


def test_a_users_mistake_is_one_line_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as left, user_errors_to_exit():
        raise UserError("file.png: not\na picture")
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: file.png: not a picture\n"


def test_another_error_keeps_its_traceback():
    with pytest.raises(BrokenPipeError), user_errors_to_exit():
        raise BrokenPipeError("a socket, not the output")


def test_a_reader_who_leaves_ends_the_command_without_a_traceback():
    child = subprocess.Popen([sys.executable, "-c", TALKS_ON], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.readline() == b"0\n"
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(30) == EXIT_OUTPUT_CLOSED


@pytest.mark.parametrize(
    ("key", "said", "told"),
    [
        ("orbit.path", "a.tle: no such file", "orbit.path: a.tle: no such file"),
        ("orbit.path", "orbit.tle: no such file", "orbit.path: orbit.tle: no such file"),
        ("orbit.path", "orbit.path=a.tle: too old", "orbit.path=a.tle: too old"),
        ("orbit.path", "orbit.source=oem: needs a package", "orbit.source=oem: needs a package"),
        ("weights", "weights a.pt: no such file", "weights a.pt: no such file"),
        ("weights", "codec.weights: no such file", "codec.weights: no such file"),
        ("init", "initial.pt: no such file", "init: initial.pt: no such file"),
    ],
)
def test_a_fault_of_a_file_begins_with_the_knob_that_names_it_once(key, said, told):
    for kind in (UserError, BitstreamError):
        with pytest.raises(kind) as caught, naming(key):
            raise kind(said)
        assert str(caught.value) == told and type(caught.value) is kind


def test_what_a_disk_refuses_names_the_knob_and_a_bug_stays_a_bug():
    with pytest.raises(UserError, match=r"^init: a\.pt: Permission denied$"), naming("init"):
        raise PermissionError(errno.EACCES, "Permission denied", "a.pt")
    with pytest.raises(FileNotFoundError), naming("init"):
        raise FileNotFoundError(errno.ENOENT, "No such file", "a.pt")
    assert naming("init")(len)("abc") == 3
