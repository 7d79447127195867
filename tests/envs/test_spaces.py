from envs import Message
from envs.spaces import ActionSpace, ObservationSpace


def test_samples_lie_in_their_space_and_follow_the_seed() -> None:
    for space in (ActionSpace, ObservationSpace):
        one, other = space(seed=3), space(seed=3)
        drawn = [one.sample() for _ in range(20)]
        assert all(one.contains(sample) for sample in drawn)
        assert drawn == [other.sample() for _ in range(20)]
        assert one == other
        assert not one.is_np_flattenable
        assert repr(one) == f"{space.__name__}()"


def test_an_action_is_an_assistant_message_and_an_observation_never_is() -> None:
    assert not ActionSpace().contains(Message.user("hi"))
    assert not ActionSpace().contains("hi")
    assert ObservationSpace().contains(())
    assert not ObservationSpace().contains((Message.assistant("hi"),))
    assert not ObservationSpace().contains([Message.user("hi")])
    assert ActionSpace() != ObservationSpace()
