import os
import subprocess
import sys

import pytest

from sandboxes.launcher.processes import children, count_descendants, kill_leftovers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells of descendants")


@pytest.fixture
def family(tmp_path, eventually):
    script = "import os, time\nfor _ in range(3): os.fork()\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env={"HOME": str(tmp_path)}) as process:
        eventually(lambda: count_descendants(process.pid, at_most=99) == 7)
        yield process
        process.kill()


def test_children_and_descendants_are_found(family):
    assert family.pid in children(os.getpid())
    assert len(children(family.pid)) == 3
    assert count_descendants(family.pid, at_most=4) == 5
    assert children(2**22 + 1) == []


def test_leftovers_are_found_by_folder_and_by_home(family, tmp_path, alive):
    offspring = children(family.pid)
    kill_leftovers(str(tmp_path / "else"))
    assert all(map(alive, offspring))
    kill_leftovers(str(tmp_path))
    assert family.wait(10) == -9
    assert not any(map(alive, offspring))
