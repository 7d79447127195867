from envs import Message
from rollout.trajectory import StopReason, Trajectory
from trainers.episodes import EpisodeLog, recorded


def episode(task_id, reward=1.0):
    return Trajectory(
        env="e-v0", task_id=task_id, task={"id": task_id}, sample=0, seed=0, opening=(Message.user("?"),), turns=(),
        stop=StopReason.ANSWERED if reward is not None else StopReason.FAILED, reward=reward,
        error=None if reward is not None else "SandboxError: x",
    )  # fmt: skip


def test_every_episode_is_written_as_it_ends_and_counted(tmp_path):
    log, seen = EpisodeLog(), []
    log.begin(tmp_path / "a.jsonl", seen.append)
    log(episode("x"))
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 1
    log.begin(tmp_path / "b.jsonl")
    log(episode("y", None))
    log.close()
    assert (log.count, log.unscored, len(seen)) == (2, 1, 1)


def test_a_resumed_run_counts_what_was_recorded_before(tmp_path):
    log = EpisodeLog()
    log.begin(tmp_path / "a.jsonl")
    log(episode("x"))
    log(episode("y", None))
    log.close()
    later = EpisodeLog()
    later.count_earlier([tmp_path / "a.jsonl"])
    assert (later.count, later.unscored) == (2, 1)


def test_a_recorded_evaluation_is_taken_in_the_order_of_its_tasks(tmp_path):
    path = tmp_path / "a.jsonl"
    log = EpisodeLog()
    log.begin(path)
    log(episode("y"))
    log(episode("x"))
    log.close()
    assert [t.task_id for t in recorded(path, ["x", "y"]) or ()] == ["x", "y"]
    assert recorded(path, ["x", "y", "z"]) is None
    assert recorded(tmp_path / "none.jsonl", ["x"]) is None


def test_an_episode_outside_of_any_phase_does_not_count():
    log = EpisodeLog()
    log(episode("x"))
    assert log.count == 0
