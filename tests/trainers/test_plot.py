import struct

import pytest

from trainers.plot import save_learning_curve, smooth

FIGURE = {"success": 0.5, "ci95": [0.4, 0.6], "n": 9}
PAIR = {"greedy": FIGURE, "sampled": {"success": 0.0, "ci95": [0.0, 1.0], "n": 0}}


@pytest.mark.parametrize(
    ("rows", "evaluations"),
    [
        ([], {}),
        ([{"step": 1, "reward": 0.5}], {"before": PAIR}),
        ([{"step": n, "reward": n - 9.0, "success": 0.5} for n in range(1, 4)], {"before": PAIR, "after": PAIR}),
    ],
)
def test_a_run_of_any_length_gives_a_picture(tmp_path, rows, evaluations):
    path = tmp_path / "curve.png"
    save_learning_curve(rows, evaluations, "$a_{b}$", path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (1600, 900)


def test_smoothing_begins_at_the_first_value_and_keeps_a_constant():
    assert smooth([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    assert smooth([0.0, 1.0])[1] < 1.0
    assert smooth([]) == []
