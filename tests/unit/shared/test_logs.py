"""What is logged: one line per record, whatever a client put into it."""

from __future__ import annotations

import logging

from k8slite.logs import OneLine


def line(text: str, *parts: object) -> str:
    return OneLine("%(levelname).1s %(message)s").format(
        logging.LogRecord("x", logging.INFO, __file__, 1, text, parts, None)
    )


def test_a_message_is_one_line() -> None:
    assert line("refused: %s", "\n2026-01-01T00:00:00.000 I x: all is well\r\x1b[2J\x85") == (
        "I refused: \\n2026-01-01T00:00:00.000 I x: all is well\\x0d\\x1b[2J\\x85"
    )
    assert line("a\tb – ü") == "I a\tb – ü"


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it failed", (), (type(error), error, None))
    assert OneLine("%(message)s").format(record) == "it failed\nValueError: why"
