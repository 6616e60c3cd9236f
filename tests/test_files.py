"""Locks, atomic folders and files, permissions, signals and closed streams."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cli import Refusal
from files import beside, cached, folder_beside, held, read_json

ROOT = Path(__file__).parent.parent


def python(code, *args, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


HOLDER = """
    import sys, time
    from files import held
    with held(sys.argv[1]):
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_folder_in_use_names_its_holder_and_death_frees_it(tmp_path):
    with python(HOLDER, tmp_path / "run") as holder:
        assert holder.stdout.readline() == "held\n"
        named = f"run is in use by process {holder.pid} .*run"
        with pytest.raises(Refusal, match=named), held(tmp_path / "run"):
            pass
        holder.kill()
        holder.wait()
    with held(tmp_path / "run"):
        assert [path.name for path in tmp_path.iterdir()] == [".lock-run"]
    assert not list(tmp_path.iterdir())


def test_of_many_at_once_one_holds(tmp_path):
    """All begin at the same moment, given by the clock; each holds for longer than that takes."""
    code = """
        import sys, time
        from cli import Refusal
        from files import held
        time.sleep(float(sys.argv[2]) - time.time())
        try:
            with held(sys.argv[1]):
                time.sleep(1)
                print("held")
        except Refusal:
            print("refused")
    """
    start = time.time() + 3
    several = [python(code, tmp_path / "run", start) for _ in range(10)]
    assert sorted(each.communicate()[0] for each in several) == ["held\n"] + ["refused\n"] * 9
    assert not list(tmp_path.iterdir())


def test_the_same_folder_by_another_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "x" / ".." / "run"
    with held(Path("run/")), pytest.raises(Refusal, match="in use"), held(other):
        pass


def test_a_folder_is_replaced_whole(tmp_path):
    out = tmp_path / "kit"
    with folder_beside(out) as part:
        (part / "a").write_text("1")
    with folder_beside(out) as part:
        (part / "b").write_text("2")
        assert (out / "a").exists()
    assert [path.name for path in out.iterdir()] == ["b"]
    with pytest.raises(ZeroDivisionError), folder_beside(out) as part:
        (part / "c").write_text("3")
        1 / 0  # noqa: B018
    assert [path.name for path in tmp_path.rglob("*")] == ["kit", "b"]


def test_what_a_killed_process_left_is_removed_and_other_names_stay(tmp_path):
    code = """
        import sys, os, signal
        from files import folder_beside
        with folder_beside(sys.argv[1]) as part:
            (part / "half").write_text("1")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    for name in ("kit", "my-kit", "kit[1]"):
        python(code, tmp_path / name).wait()
    assert len(list(tmp_path.iterdir())) == 3
    with folder_beside(tmp_path / "kit"):
        pass
    with folder_beside(tmp_path / "kit[1]"):
        pass
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left[1:] == ["kit", "kit[1]"] and left[0].endswith("-my-kit")


@pytest.mark.parametrize("length", [1, 150, 255])
def test_names_of_any_length(tmp_path, length):
    path = tmp_path / ("é" * 200)[: length // 2] if length > 1 else tmp_path / "a"
    with held(path), folder_beside(path):
        pass
    with beside(path / "b") as part:
        part.write_text("1")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)]
)
def test_the_umask_is_kept(tmp_path, umask, file, folder):
    code = """
        import sys
        from pathlib import Path
        from files import folder_beside, write_json
        write_json(sys.argv[1] + "/file", 1)
        with folder_beside(Path(sys.argv[1], "folder")):
            pass
    """
    assert python(code, tmp_path, umask=umask).wait() == 0
    assert (tmp_path / "file").stat().st_mode & 0o777 == file
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~umask


SLEEPER = """
    import sys, time, cli
    def main():
        print("begun", flush=True)
        time.sleep(60)
    cli.run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_a_line(number):
    heard = lambda: signal.signal(number, signal.SIG_DFL)  # noqa: E731, under nohup it is not
    with python(SLEEPER, preexec_fn=heard) as command:
        command.stdout.readline()
        command.send_signal(number)
        _, errors = command.communicate()
    assert command.returncode == 128 + number
    assert errors == "stopped; run the same command again to continue\n"


FINALIZER = """
    import time, cli
    class Slow:
        def __del__(self):
            print("begun", flush=True)
            time.sleep(60)
    def main():
        Slow()
        time.sleep(60)
    cli.run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_inside_a_finalizer_is_not_lost(number):
    with python(FINALIZER) as command:
        command.stdout.readline()
        command.send_signal(number)
        _, errors = command.communicate(timeout=20)
    assert command.returncode == 128 + number
    assert errors == "stopped; run the same command again to continue\n"


POSTPONED = """
    import time, cli
    def main():
        with cli.postponed() as stops:
            print("begun", flush=True)
            end = time.monotonic() + 60
            while time.monotonic() < end and not stops:
                time.sleep(0.01)
            print("goes on", flush=True)
            if AGAIN:
                time.sleep(60)
        print("saved", flush=True)
        cli.stop(stops)
    cli.run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("again", [False, True])
def test_a_postponed_signal(number, again):
    """What it interrupts comes to its end first; a second signal interrupts it."""
    with python(POSTPONED.replace("AGAIN", str(again))) as command:
        assert command.stdout.readline() == "begun\n"
        command.send_signal(number)
        assert command.stdout.readline() == "goes on\n"
        if again:
            command.send_signal(number)
        said, errors = command.stdout.read(), command.stderr.read()
    assert command.returncode == 128 + number and said == ("" if again else "saved\n")
    assert errors == "stopped; run the same command again to continue\n"


def test_nohup_is_kept():
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    with python(SLEEPER, preexec_fn=ignore) as command:
        command.stdout.readline()
        command.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            command.wait(0.5)
        command.kill()


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (1, 2), (0, 1, 2)])
def test_closed_streams(tmp_path, closed):
    """A file that is opened next must not get the number of a closed stream."""
    code = """
        import sys, cli
        def main():
            with open(sys.argv[1], "w") as file:
                assert file.fileno() > 2
                print("result", flush=True)
                cli.say("remark")
                raise cli.Verdict("no")
        cli.run(main)
    """
    close = lambda: [os.close(number) for number in closed]  # noqa: E731
    with python(code, tmp_path / "file", preexec_fn=close) as command:
        out, errors = command.communicate()
    assert command.returncode == 1
    assert out == ("" if 1 in closed else "result\n")
    assert errors == ("" if 2 in closed else "remark\nno\n")
    assert (tmp_path / "file").read_text() == ""


def test_a_damaged_cache_is_computed_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cached(tmp_path, "numbers", "f", lambda: [1, 2]) == [1, 2]
    assert cached(tmp_path, "numbers", "f", lambda: [3]) == [1, 2]
    (path,) = (tmp_path / "cache/segnet").iterdir()
    left = path.with_name(f".part-12345678-{path.name}")
    left.write_text("half")
    for text in ("", "[", "3", path.read_text().replace("2", "7")):
        path.write_text(text)
        assert cached(tmp_path, "numbers", "f", lambda: [1, 2]) == [1, 2]
    assert not left.exists()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_json_is_read_from_regular_files_alone(tmp_path, make):
    make(tmp_path / "a.json")
    with pytest.raises(Refusal, match=r"a\.json is not a regular file: replace it"):
        read_json(tmp_path / "a.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(Refusal, match=r"deep\.json is damaged: .*recursion"):
        read_json(tmp_path / "deep.json")
