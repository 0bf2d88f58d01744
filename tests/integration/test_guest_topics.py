"""The demonstration on somebody else's broker: it brings its topics, takes them away, and touches no others."""

from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from deploy.lab.rig import TOPICS, guest_topics
from deploy.supervisor import DidNotStart


def test_topics_are_gone_afterwards_and_those_of_others_are_left_alone(tmp_path: Path) -> None:
    theirs = TOPICS[:1]
    with EmbeddedBroker(tmp_path) as broker:
        with guest_topics(broker.access):
            assert len(broker.topics(TOPICS)) == len(TOPICS)
        broker.topics(theirs)
        with pytest.raises(DidNotStart, match=theirs[0].name), guest_topics(broker.access):
            pytest.fail("the demonstration began among somebody's records")
        assert list(broker.topics(theirs)) == [theirs[0].name]
        with pytest.raises(DidNotStart, match=f"holds {theirs[0].name} already"), guest_topics(broker.access):
            pytest.fail("what was not there before was left behind")
