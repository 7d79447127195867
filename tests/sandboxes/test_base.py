from sandboxes import ExecResult


def test_a_run_is_ok_when_it_ended_by_itself_with_zero():
    assert ExecResult("", "", 0, 0.1).ok
    assert not ExecResult("", "", 1, 0.1).ok
    assert not ExecResult("", "", 0, 0.1, timed_out=True).ok
