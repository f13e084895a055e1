"""A planted mistake, by the name of the test that plants it: `test_block_counted_twice` plants
`block-counted-twice` of rs.cli.mistakes, and has to see it caught in the words that stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from rs.cli.mistakes import Mistake, mistakes
from rs.errors import UserError


@dataclass
class Planted:
    mistake: Mistake
    caught: int = field(default=0)

    def refused(self, act: Callable[[], Any]) -> str:
        """The line with which `act` is refused."""
        with pytest.raises(UserError) as refusal:
            act()
        message = str(refusal.value)
        assert "\n" not in message
        self.flagged(message)
        return message

    def flagged(self, message: str) -> None:
        """`message` names the mistake."""
        assert self.mistake.says in message, message
        self.caught += 1


@pytest.fixture
def mistake(request: pytest.FixtureRequest) -> Iterator[Planted]:
    name = request.function.__name__.removeprefix("test_").replace("_", "-")
    planted = Planted(next(m for m in mistakes() if m.name == name))
    yield planted
    assert planted.caught, f"{name} was planted and not seen"
