"""Commands and feedback to the trainer on the embedded broker, with a trainer that only answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.errors import CommandFailed, UsageError
from deploy.history.banks import view_states
from deploy.settings import Settings
from deploy.trainer_commands import TrainerRequest, new_command, new_feedback, send_command, send_feedback
from ingest.bank_event import BankEventKind
from ingest.bank_state import BankState, ViewState
from ingest.command import CommandKind
from ingest.contract import SourceRecord
from ingest.feedback import Feedback, FeedbackKind
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing, Record
from ingest.kafka.settings import KafkaSettings
from ingest.kafka.topics import create_topics
from ingest.kafka.writers import KafkaSender
from tests.deploy.answering_trainer import AT, VIEW, AnsweringTrainer, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.local_stack.embedded_broker import EmbeddedBroker

pytestmark = pytest.mark.embedded

BATCHES, EVENTS_A_BATCH = 10, 50


class CountingReader(WholeTopicReader):
    """A reader that counts the bank events it was given."""

    events = 0

    def poll(self, timeout_seconds: float, *, room: int = 500) -> list[Record]:
        """As the reader does."""
        records = super().poll(timeout_seconds, room=room)
        CountingReader.events += sum(record.topic.endswith("bank-events") for record in records)
        return records


@pytest.fixture
def settings(embedded_broker: EmbeddedBroker, request: pytest.FixtureRequest) -> Settings:
    """A cluster whose topics exist, under a prefix of this test's own."""
    kafka = KafkaSettings(
        bootstrap_servers=embedded_broker.bootstrap_servers, topic_prefix=f"{request.node.originalname}."
    )
    create_topics(kafka, give_up_seconds=30)
    return Settings(kafka=kafka)


@pytest.fixture
def sender(settings: Settings) -> Iterator[KafkaSender]:
    """Writes what a trainer would."""
    topics = tuple(settings.kafka.topic(name) for name in ("banks", "bank-events"))
    with KafkaSender.open(settings.kafka, writes=topics) as opened:
        yield opened


def test_a_command_does_not_read_the_history_of_all_events(
    settings: Settings, sender: KafkaSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are kept for ever. They were all read first: after a year no command was answered in time."""
    topic = settings.kafka.topic("bank-events")
    for _ in range(BATCHES):
        for _ in range(EVENTS_A_BATCH):
            sender.send(Outgoing(topic, VIEW.encode(), event(None)))
        sender.flush(30)
    monkeypatch.setattr("deploy.trainer_commands.WholeTopicReader", CountingReader)
    CountingReader.events = 0
    command = new_command(CommandKind.PIN, VIEW, why="to see", at=AT)
    with AnsweringTrainer(settings, sender, BankEventKind.PINNED):
        assert send_command(settings, command).command_id == command.id
    assert 1 <= CountingReader.events <= 2 * EVENTS_A_BATCH  # the embedded broker gives its last batch again


def test_a_refusal_is_the_commands_failure(settings: Settings, sender: KafkaSender) -> None:
    """With the reason the trainer gave."""
    command = new_command(CommandKind.ROLLBACK, VIEW, why="to see", at=AT)
    with (
        AnsweringTrainer(settings, sender, BankEventKind.COMMAND_REFUSED),
        pytest.raises(CommandFailed, match=r"^the trainer refused to rollback: to see$"),
    ):
        send_command(settings, command)


def word_on_a_frame() -> Feedback:
    """Good, on one frame."""
    source = SourceRecord(topic="frames", partition=0, offset=7)
    return new_feedback(FeedbackKind.GOOD, VIEW, why="to see", at=AT, source=source)


def test_feedback_is_answered_as_a_command_is(settings: Settings, sender: KafkaSender) -> None:
    """By the event with its id; the word that was sent is the word that is read."""
    feedback = word_on_a_frame()
    with AnsweringTrainer(settings, sender, BankEventKind.LABELLED) as trainer:
        assert send_feedback(settings, feedback).command_id == feedback.id
    assert trainer.heard == feedback


def test_a_refused_word_is_the_commands_failure(settings: Settings, sender: KafkaSender) -> None:
    """With the reason the trainer gave."""
    word = new_feedback(FeedbackKind.GROUP_NO_PART, VIEW, why="to see", at=AT, annotation="g12")
    with (
        AnsweringTrainer(settings, sender, BankEventKind.FEEDBACK_REFUSED),
        pytest.raises(CommandFailed, match=r"^the trainer refused to group no part: to see$"),
    ):
        send_feedback(settings, word)


def test_what_comes_after_the_answer_is_waited_for(settings: Settings, sender: KafkaSender) -> None:
    """Whether it was read together with the answer or comes later; other views' events are none of the view's."""
    topic, word = settings.kafka.topic("bank-events"), word_on_a_frame()
    with TrainerRequest.sent(settings, word) as request:
        for value in (event(None, BankEventKind.PROMOTED, view="m/d"), event(word.id), event(None)):
            sender.send_and_wait(Outgoing(topic, VIEW.encode(), value))
        assert request.answer(10, what="good").command_id == word.id
        later = request.first(lambda each: each.command_id is None, 10)
        assert later is not None
        assert later.view == VIEW
        assert request.first(lambda each: each.kind is BankEventKind.PROMOTED, 0.3) is None


def test_an_unreadable_bank_state_costs_no_command_the_others(settings: Settings, sender: KafkaSender) -> None:
    """One bad record in `banks` failed `patchline bank` and `patchline threshold` for every view."""
    topic = settings.kafka.topic("banks")
    state = BankState(view=VIEW, epoch=1, state=ViewState.LEARNING, by="trainer", why="so far", at=AT)
    newer = state.to_bytes().replace(b'"patchline_schema":1', b'"patchline_schema":2')
    for view, value in ((VIEW, state.to_bytes()), ("line-2/camera-1", b"{"), ("line-3/camera-1", newer)):
        sender.send_and_wait(Outgoing(topic, view.encode(), value))
    assert view_states(settings) == {VIEW: state}


def test_a_view_whose_state_was_removed_is_not_known(settings: Settings, sender: KafkaSender) -> None:
    """Its tombstone was taken for no record at all."""
    topic = settings.kafka.topic("banks")
    state = BankState(view=VIEW, epoch=1, state=ViewState.LEARNING, by="trainer", why="so far", at=AT)
    for value in (state.to_bytes(), None):
        sender.send_and_wait(Outgoing(topic, VIEW.encode(), value))
    assert view_states(settings) == {}


def test_a_reason_that_is_too_long_is_wrong_use() -> None:
    """Not a traceback: the sentence names the field and its bound."""
    with pytest.raises(UsageError, match="why: String should have at most 1000 characters"):
        new_command(CommandKind.REBUILD, VIEW, why="x" * 1001, at=AT)
