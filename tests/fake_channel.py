"""A provider that answers as the test says and remembers what it took."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from flask import Flask

from outreach.messages.channels import Outcome, Outgoing, Verdict, accepted
from outreach.messages.models import Channel

Answer = Callable[[Outgoing], Outcome]


class FakeChannel:
    def __init__(self, answer: Answer = lambda _message: accepted("ok")) -> None:
        self.answer = answer
        self.taken: Counter[tuple[int, int]] = Counter()
        """How often each message arrived, by id and resend number."""

    @contextmanager
    def open(self) -> Iterator["FakeChannel"]:
        yield self

    def deliver(self, messages: Sequence[Outgoing]) -> Iterator[Outcome]:
        for message in messages:
            outcome = self.answer(message)
            if outcome.verdict is Verdict.ACCEPTED:
                self.taken[message.id, message.resend_no] += 1
            yield outcome


def install(app: Flask, answer: Answer = lambda _message: accepted("ok")) -> FakeChannel:
    channel = FakeChannel(answer)
    app.extensions["outreach.channels"] = {Channel.EMAIL: channel.open, Channel.SMS: channel.open}
    return channel
