"""Engines from scripts, and from modules that only the driver can import, on real workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

import pullet
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from pullet_workers import Pool

MODULE = """
{first}
class Counter:
    def __init__(self, start=0):
        self.n = start
    def next(self):
        self.n = step(self.n)
        return self.n
def step(n):
    return n + 1
"""

SCRIPT = """
import functools, ray
from pullet_workers import Pool
{options}
BASE = 40
{engine}
def step(n):
    return n + 2

if __name__ == "__main__":
    with Pool(functools.partial(Engine, start=BASE), queue="main") as pool:
        print(pool.submit(Engine.next).result(60), pool.submit("next").result(60))
"""

IN_MAIN = """
class Engine:
    def __init__(self, start):
        self.n = start
    def next(self):
        self.n = step(self.n)
        return self.n
"""


@ray.remote(num_cpus=0)
def can_import(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


@pytest.fixture
def only_here(local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module on the path of this process, which Ray has not told its workers of."""
    name = f"only_here_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE.format(first=""))
    (tmp_path / f"{name}_base.py").write_text("def helper(n): return n")
    monkeypatch.syspath_prepend(tmp_path)
    assert not ray.get(can_import.remote(name)), "the workers can import it: this would show nothing"
    return name


def test_a_module_that_only_the_driver_can_import(only_here: str, queue: Queue, address: Address) -> None:
    engine = __import__(only_here).Counter
    with Pool(engine, queue=queue, redis=address) as pool:
        assert [pool.submit(engine.next).result(30) for _ in range(2)] == [1, 2]


def test_a_missing_import_is_one_clear_error(only_here: str, queue: Queue, address: Address, tmp_path: Path) -> None:
    file = tmp_path / f"{only_here}.py"
    file.write_text(MODULE.format(first=f"from {only_here}_base import helper").replace("n + 1", "helper(n)"))
    engine = __import__(only_here).Counter
    with pytest.raises(pullet.EngineFailed, match=f"cannot import '{only_here}_base'") as caught:
        Pool(engine, queue=queue, redis=address)
    for word in ("Install it on all nodes", "working_dir", "py_modules", "PYTHONPATH"):
        assert word in str(caught.value)


def run(script: Path) -> str:
    own = {name: text for name, text in os.environ.items() if name not in ("PULLET_REDIS", "RAY_ADDRESS")}
    done = subprocess.run([sys.executable, script], env=own, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_class_of_a_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(options="", engine=IN_MAIN))
    assert run(script) == "42 44\n"


@pytest.mark.slow
def test_the_remedy_of_the_error_works(tmp_path: Path) -> None:
    """What a checkout needs beside the engine's own module travels with `working_dir`."""
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "deep_base.py").write_text("def step(n):\n    return n + 5\n")
    (tmp_path / "checkout" / "deep.py").write_text(IN_MAIN.replace("\nclass", "from deep_base import step\nclass"))
    init = 'ray.init(address="local", num_cpus=2, include_dashboard=False, runtime_env={"working_dir": FOLDER})'
    options = f"import sys; FOLDER = {str(tmp_path / 'checkout')!r}\n{init}\nsys.path.insert(0, FOLDER)"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(options=options, engine="from deep import Engine"))
    assert run(script) == "45 50\n"
