"""What workers are asked for in tests: nothing that takes long to import, as each process imports it anew."""

from __future__ import annotations

import os
import signal
import time

from inverse_graphics.errors import EngineError


class Trade:
    """What a worker may be asked for here."""

    def __init__(self) -> None:
        self.received: list[int] = []

    def tell(self, number: int) -> tuple[int, int]:
        self.received.append(number)
        return os.getpid(), sum(self.received)

    def fail(self) -> None:
        raise EngineError("no such object: choose another")

    def break_down(self) -> None:
        raise ValueError("a bug")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self) -> None:
        time.sleep(600)
