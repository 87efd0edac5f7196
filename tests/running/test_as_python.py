"""`tensorcheck run` runs a program as `python` does: the same stdout, stderr, exit code and files."""

import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

PROGRAMS = {
    "names": """
        import sys
        print(__name__, __file__, __package__, __spec__, __doc__, sys.argv, sys.path[0], sorted(vars()))
    """,
    "docstring and future": '''
        """A docstring."""
        from __future__ import annotations
        def f(x: nowhere): pass
        print(__doc__, f.__annotations__)
    ''',
    "exit code": "raise SystemExit(7)",
    "exit with words": "import sys; sys.exit('bye')",
    "exit without a code": "import sys; print('x'); sys.exit()",
    "exception": """
        def f(x):
            return 1 / x
        try:
            f(0)
        except ZeroDivisionError as error:
            raise ValueError('chained') from error
    """,
    "exception group": "raise ExceptionGroup('two', [ValueError(1), TypeError(2)])",
    "syntax error": "x = = 1",
    "indentation": "  x = 1\n y = 2",
    "missing import": "import not_there_at_all",
    "own excepthook": """
        import sys
        sys.excepthook = lambda kind, error, trace: print('hook', kind.__name__, error, trace.tb_lineno)
        1 / 0
    """,
    "excepthook that fails": """
        import sys
        def hook(*details):
            raise TypeError('hook')
        sys.excepthook = hook
        1 / 0
    """,
    "replaced stdout": """
        import io, sys
        sys.stdout = io.StringIO()
        print('nowhere')
        sys.stdout.close()
    """,
    "closed streams": "import sys; sys.stdout.close(); sys.stderr.close()",
    "stdin": "import sys; print(sys.stdin.read().upper())",
    "at exit": "import atexit; atexit.register(print, 'last'); print('first')",
    "left at once": "import os, sys; print('out'); sys.stdout.flush(); os._exit(5)",
    "forks": """
        import os, sys
        child = os.fork()
        if child == 0:
            print('child', flush=True)
            sys.exit(3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """,
    "replaces itself": """
        import os, sys
        os.execv(sys.executable, [sys.executable, '-c', 'print(1); raise SystemExit(4)'])
    """,
    "threads": """
        import threading, time
        def late():
            time.sleep(0.2)
            print('late')
        threading.Thread(target=late).start()
        print('main is done')
    """,
    "thread that raises": """
        import threading
        thread = threading.Thread(target=lambda: 1 / 0, name='t')
        thread.start()
        thread.join()
    """,
    "interrupt": "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(5)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "catches everything": """
        try:
            raise SystemExit(1)
        except BaseException as error:
            print(repr(error))
    """,
    "deletes its folder": """
        import os, shutil
        os.mkdir('gone')
        os.chdir('gone')
        shutil.rmtree('../gone')
        print('still here')
    """,
    "generators and finalizers": """
        class Noisy:
            def __del__(self):
                print('gone')
        noisy = Noisy()
        print('end')
    """,
    "processes": """
        import multiprocessing
        def work(x):
            return x * x
        if __name__ == '__main__':
            for method in ('fork', 'spawn'):
                with multiprocessing.get_context(method).Pool(1) as pool:
                    print(method, pool.map(work, [1, 2, 3]))
    """,
    "pickled classes": """
        import pickle
        class Mine:
            pass
        print(type(pickle.loads(pickle.dumps(Mine()))) is Mine)
    """,
    "frames": """
        import inspect, traceback
        def f():
            return [frame.function for frame in inspect.getouterframes(inspect.currentframe())][:2]
        print(f())
    """,
    "recursion": """
        def f(n):
            return n and 1 + f(n - 1)
        print(f(900))
    """,
    "writes a file": "open('out.txt', 'w').write('x' * 10)",
}


def ran(command: list[str], folder: Path) -> tuple[int, str, str, dict[str, bytes]]:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, input="typed", timeout=60, check=False
    )
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return done.returncode, done.stdout, done.stderr, files


def assert_same(command: list[str], tmp_path: Path) -> None:
    plain = ran(command, tmp_path / "work")
    (tmp_path / "work").rename(tmp_path / "plain")
    watched = ran(["-m", "tensorcheck", "run", "--quiet", *command], tmp_path / "work")
    assert watched == plain


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_script_runs_as_under_python(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(PROGRAMS[name]))
    assert_same([str(script), "--quiet", "-m", "x"], tmp_path)


@pytest.mark.parametrize("source", ["x = '\0'", "# coding: klingon\n"])
def test_a_source_that_cannot_be_read_is_a_syntax_error_too(source: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(source)
    code, out, err, _ = ran(["-m", "tensorcheck", "run", "--quiet", str(script)], tmp_path / "work")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("SyntaxError: ")


def test_a_relative_path_stays_what_was_typed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(PROGRAMS["names"]))
    assert_same(["../script.py"], tmp_path)


def test_a_link_finds_what_lies_beside_its_target(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "script.py").write_text("import beside, sys; print(__file__, sys.path[0])")
    (tmp_path / "real" / "beside.py").touch()
    (tmp_path / "link.py").symlink_to(tmp_path / "real" / "script.py")
    assert_same([str(tmp_path / "link.py")], tmp_path)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "path" / "pack"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "sibling.py").write_text("WHO = 'sibling'")
    for name in ("tool.py", "__main__.py"):
        (folder / name).write_text(
            "import sys\nfrom .sibling import WHO\nprint(WHO, __name__, __package__, __spec__.name, sys.argv, __file__)"
        )
    (folder / "inner" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "path"), str(Path.cwd())]))
    return folder


@pytest.mark.parametrize("module", ["pack.tool", "pack"])
def test_a_module_runs_as_under_python(package: Path, tmp_path: Path, module: str) -> None:
    assert_same(["-m", module, "--quiet"], tmp_path)


@pytest.mark.parametrize("module", ["pack.nowhere", "nowhere", "pack.inner"])
def test_a_module_that_is_not_there_is_refused_with_the_same_code(package: Path, tmp_path: Path, module: str) -> None:
    plain = ran(["-m", module], tmp_path / "plain")
    watched = ran(["-m", "tensorcheck", "run", "-m", module], tmp_path / "watched")
    assert (watched[0], watched[1]) == (plain[0], plain[1])
    assert watched[2].splitlines()[0].partition(": ")[2] == plain[2].strip().partition(": ")[2]


def test_a_folder_and_an_archive_run_as_under_python(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "__main__.py").write_text("import sys; print(__name__, repr(__package__), sys.argv, __file__)")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(folder / "__main__.py", "__main__.py")
    for place, target in enumerate([folder, tmp_path / "archive.zip"]):
        (tmp_path / str(place)).mkdir()
        assert_same([str(target)], tmp_path / str(place))


def test_a_script_that_is_not_there_is_refused_with_the_same_code(tmp_path: Path) -> None:
    plain = ran(["nowhere.py"], tmp_path / "plain")
    watched = ran(["-m", "tensorcheck", "run", "--quiet", "nowhere.py"], tmp_path / "watched")
    assert watched[0] == plain[0] == 2
    assert "can't open file" in watched[2]
    assert "nowhere.py" in watched[2]


def interruptible() -> None:
    """What a shell starts in the background ignores interrupts, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupt_kills_the_process_as_its_parent_expects(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAMS["interrupt"])
    command = Path(sys.executable).with_name("tensorcheck")
    done = subprocess.run(
        [command, "run", script], capture_output=True, text=True, check=False, preexec_fn=interruptible
    )
    assert done.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in done.stderr


def test_switched_off_it_reports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORCHECK", "0")
    script = tmp_path / "script.py"
    script.write_text("import sys; print('tensorcheck.session' in sys.modules)")
    code, out, err, files = ran(["-m", "tensorcheck", "run", "--report", "x.json", str(script)], tmp_path / "work")
    assert (code, out, err, files) == (0, "False\n", "", {})
