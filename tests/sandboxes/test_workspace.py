import os
import sys

import pytest

from sandboxes.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "root").mkdir()
    made = Workspace(str(tmp_path / "root"))
    yield made
    made.remove()


def test_removing_takes_everything_and_may_be_repeated(workspace: Workspace):
    workspace.write(("a", "b"), b"1")
    workspace.remove()
    workspace.remove()
    assert not os.path.exists(workspace.path)


def test_forgetting_leaves_the_folder(workspace: Workspace):
    workspace.write(("a",), b"1")
    workspace.forget()
    workspace.remove()
    assert os.listdir(workspace.path) == ["a"]


def test_a_renamed_work_space_is_still_the_same(workspace: Workspace):
    os.rename(workspace.path, workspace.path + "-moved")
    os.symlink("/", workspace.path)
    workspace.write(("a",), b"1")
    assert workspace.read(("a",), 9) == b"1"
    workspace.empty()
    assert os.listdir(workspace.path + "-moved") == []


def test_a_removed_work_space_cannot_be_emptied(workspace: Workspace):
    os.rmdir(workspace.path)
    with pytest.raises(FileNotFoundError, match="was removed"):
        workspace.empty()


def test_depth_costs_no_recursion(workspace: Workspace):
    deep = "/".join(["d"] * 200)
    os.makedirs(f"{workspace.path}/{deep}/side")
    limit = sys.getrecursionlimit()
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(depth + 60)
    try:
        workspace.empty()
    finally:
        sys.setrecursionlimit(limit)
    assert os.listdir(workspace.path) == []


def test_a_link_to_a_folder_is_removed_and_not_followed(workspace: Workspace, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("kept")
    os.symlink(tmp_path / "outside", f"{workspace.path}/link")
    workspace.empty()
    assert (tmp_path / "outside" / "file").read_text() == "kept"


def test_a_name_nothing_can_be_called_is_a_value_error(workspace: Workspace):
    with pytest.raises(ValueError, match="too long"):
        workspace.read(("x" * 300,), 9)
    with pytest.raises(ValueError, match="surrogates"):
        workspace.read(("\ud800",), 9)


def test_a_device_is_not_read(workspace: Workspace):
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    try:
        os.mknod(f"{workspace.path}/zero", 0o20600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("not even root does here")
    with pytest.raises(ValueError, match="no regular file"):
        workspace.read(("zero",), 9)
