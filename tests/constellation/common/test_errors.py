"""What a command says when something is wrong, or when nobody listens any more."""

import subprocess
import sys

import pytest

from constellation.common.errors import EXIT_OUTPUT_CLOSED, UserError, user_errors_to_exit

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
