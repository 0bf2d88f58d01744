"""The shell: what bash makes of a line. Expected texts are those of GNU bash 5.2 and coreutils."""

import copy
import os
import shutil
import subprocess

import pytest

from deploy.lab.programs import Coreutils
from deploy.lab.shell import Machine, Result, Shell


class Tool:
    """A program that tells what it was given and remembers how often it was called."""

    def __init__(self):
        self.calls = []

    def run(self, call):
        self.calls.append(call)
        return Result("|".join(call.args) + "\n", configured=True)


@pytest.fixture
def shell():
    machine = Machine("box")
    Coreutils(machine).install()
    return Shell(machine, "root")


def say(shell, line):
    return shell.line(line, now=1000.0).text


LINES = [
    "echo one; echo two",
    "true && echo yes || echo no",
    "false && echo yes || echo no",
    "false; echo rc=$?",
    "false; true; echo rc=$?",
    "false || true && echo $?",
    "echo 'a  b' \"c $? d\" e\\ f",
    "echo {1,2}x '{1,2}' { 1, 2 }",
    "echo a{b,c}d",
    "printf '%s-%s\\n' a b c",
    "printf 'no newline'",
    "printf '100%%\\n'",
    "echo -n x; echo -e 'a\\tb'",
    'echo $(echo inner) "$(echo quoted)"',
    "echo a | cat",
    "printf 'b\\na\\n' | sort | head -n 1",
    "printf 'x\\ny\\n' | grep -c .",
    "printf 'x\\ny\\n' | grep y",
    "printf 'x\\ny\\n' | grep -v y",
    "echo none | grep zzz; echo rc=$?",
    "printf 'a\\nb\\n' | wc -l",
    "printf 'a\\nb\\nc\\n' | tail -n 2",
    "cat /nonexistent/file; echo $?",
    "cat /nonexistent/file 2>/dev/null; echo $?",
    "cat /nonexistent/file >/dev/null 2>&1 || echo hidden",
    "echo # a comment",
    "echo a#b",
    'echo "unset: $NOTHING." $NOTHING',
    "cat <<< here",
    "echo ${HOME}",
    "echo '$HOME' \\$HOME",
    "true; false; echo $? $?",
    "echo 'it'\"'\"'s'",
    "grep -E 'a|b' <<< b",
    "echo a;",
    "whoami",
    "id -u",
]


@pytest.mark.skipif(
    shutil.which("bash") is None or os.geteuid() != 0, reason="needs bash and root, as the emulated shell is"
)
@pytest.mark.parametrize("line", LINES)
def test_line_says_what_bash_says(shell, line):
    real = subprocess.run(
        ["bash", "-c", line],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": "/root", "LC_ALL": "C"},
    )
    assert say(shell, line) == real.stdout


def test_unknown_program_is_not_found_with_status_127(shell):
    reply = shell.line("frobnicate --now; echo rc=$?", now=0.0)
    assert reply.text == "-bash: frobnicate: command not found\nrc=127\n"
    assert not reply.accepted


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("; echo", "syntax error near unexpected token `;'"),
        ("echo 'open", "unexpected EOF while looking for matching `''"),
        ("echo (", "syntax error near unexpected token `('"),
        ("true &&", "syntax error: unexpected end of file"),
    ],
)
def test_line_that_is_none_is_refused_and_does_nothing(shell, line, complaint):
    tool = Tool()
    shell._machine.programs["echo"] = tool.run
    reply = shell.line(line, now=0.0)
    assert complaint in reply.text
    assert not reply.accepted
    assert tool.calls == []


def test_braces_without_quotes_reach_a_program_in_pieces(shell):
    tool = Tool()
    shell._machine.programs["nft"] = tool.run
    shell.line("nft add element inet t s {10.0.0.1,10.0.0.2}", now=0.0)
    assert tool.calls[0].args[-2:] == ("10.0.0.1", "10.0.0.2")
    shell.line("nft add element inet t s { 10.0.0.1 }", now=0.0)
    assert tool.calls[1].args[-3:] == ("{", "10.0.0.1", "}")


def test_semicolon_in_a_chain_must_be_escaped(shell):
    tool = Tool()
    shell._machine.programs["nft"] = tool.run
    shell.line(r"nft add chain inet t c { type filter hook forward priority 0 \; }", now=0.0)
    assert tool.calls[0].args[-2:] == (";", "}")
    assert "syntax error" not in say(shell, "nft a ; nft b")


def test_program_knows_whether_it_writes_to_a_terminal(shell):
    tool = Tool()
    shell._machine.programs["ovs-ofctl"] = tool.run
    for line in (
        "ovs-ofctl a",
        "ovs-ofctl b | cat",
        "ovs-ofctl c > /root/x",
        "echo $(ovs-ofctl d)",
        "ovs-ofctl e 2>&1",
    ):
        shell.line(line, now=0.0)
    shell.run("ovs-ofctl f", now=0.0)
    assert {call.args[0]: call.terminal for call in tool.calls} == {
        "a": True,
        "b": False,
        "c": False,
        "d": False,
        "e": True,
        "f": False,
    }


def test_substitution_runs_once_and_in_its_place(shell):
    tool = Tool()
    shell._machine.programs["tool"] = tool.run
    assert say(shell, "echo first; echo $(tool x)") == "first\nx\n"
    assert len(tool.calls) == 1


def test_skipped_part_of_a_list_is_not_run(shell):
    tool = Tool()
    shell._machine.programs["tool"] = tool.run
    shell.line("false && tool x; true || tool y", now=0.0)
    assert tool.calls == []


def test_files_are_written_and_appended(shell):
    assert say(shell, "echo a > /root/f; echo b >> /root/f; cat /root/f < /dev/null") == "a\nb\n"
    assert say(shell, "cat < /root/missing") == "-bash: /root/missing: No such file or directory\n"


def test_here_document_with_tabs_and_its_end(shell):
    assert shell.line("cat <<-'EOF' | grep x", now=0.0).text == ""
    assert shell.mode == "heredoc"
    shell.line("\t\tx $HOME", now=0.0)
    shell.line("y", now=0.0)
    assert shell.line("\tEOF", now=0.0).text == "x $HOME\n"
    assert shell.mode == "shell"


def test_sudo_gives_the_rights_that_a_user_lacks():
    machine = Machine("box")
    Coreutils(machine).install()
    shell = Shell(machine, "admin")
    assert shell.prompt == "admin@box:~$ "
    assert say(shell, "id -u; sudo id -u; sudo -n whoami") == "1000\n0\nroot\n"


def test_configuring_line_is_known_as_one(shell):
    tool = Tool()
    shell._machine.programs["tool"] = tool.run
    assert shell.line("tool; echo rc=$?", now=0.0).configured
    assert not shell.line("echo tool", now=0.0).configured


def test_copy_of_a_machine_is_complete(shell):
    twin = copy.deepcopy(shell)
    twin.line("echo changed > /root/f", now=0.0)
    assert "/root/f" not in shell._machine.files
    assert say(twin, "cat /root/f") == "changed\n"


def feed(shell, *lines):
    return [shell.line(line, now=0.0) for line in lines][-1]


def test_refused_here_document_is_read_to_its_end_and_not_run(shell):
    tool = Tool()
    shell._machine.programs["nft"] = tool.run
    assert shell.refusal("nft -f - <<'EOF'").text == ""
    assert shell.mode == "heredoc"
    reply = feed(shell, "add table inet t", "EOF")
    assert reply.text == "-bash: nft: command not found\n"
    assert (tool.calls, shell.mode) == ([], "shell")
    assert feed(shell, "nft ok").text == "ok\n"


def test_refusal_of_a_line_within_refuses_the_whole_here_document(shell):
    tool = Tool()
    shell._machine.programs["nft"] = tool.run
    feed(shell, "nft -f - <<'EOF'")
    shell.refusal("add rule inet t c drop")
    assert "not found" in feed(shell, "EOF").text
    feed(shell, "nft -f - <<'EOF'", "add table inet t")
    assert "not found" in shell.refusal("EOF").text
    assert tool.calls == []


@pytest.mark.parametrize("struck", [0, 1, 2])
def test_here_document_that_is_only_pretended_changes_nothing(shell, struck):
    shell.line("echo before > /root/f", now=0.0)
    replies = []
    for index, line in enumerate(("cat > /root/f <<'EOF'", "after", "EOF")):
        replies.append(shell.pretend(line, now=0.0) if index == struck else shell.line(line, now=0.0))
    assert [reply.accepted for reply in replies] == [True, True, True]
    assert say(shell, "cat /root/f") == "before\n"
    assert say(shell, "echo after > /root/f; cat /root/f") == "after\n"


def test_pretended_line_leaves_the_status_that_it_would_have_left(shell):
    assert shell.pretend("cat /nowhere", now=0.0).text == "cat: /nowhere: No such file or directory\n"
    assert say(shell, "echo $?") == "1\n"
