"""What a terminal shows."""

from __future__ import annotations

from datetime import UTC, datetime

from k8slite.cli.printers import columns
from k8slite.cli.verbs.exec import exit_code
from k8slite.cli.verbs.watch import events


def test_columns_line_up_without_trailing_blanks() -> None:
    text = columns.render(["NAME", "AGE"], [["web", "5m"], ["longer-name", "1d"]], colour=False)
    assert text == "NAME          AGE\nweb           5m\nlonger-name   1d"


def test_colour_is_only_added_where_wanted() -> None:
    assert "\x1b" not in columns.render(["STATUS"], [["Running"]], colour=False)
    assert "\x1b[32mRunning" in columns.render(["STATUS"], [["Running"]], colour=True)


def test_watch_events_are_cut_at_lines_wherever_chunks_end() -> None:
    chunks = iter([b'{"type":"ADD', b'ED"}\n{"type":"DELETED"}', b"\n"])
    assert [event["type"] for event in events(chunks)] == ["ADDED", "DELETED"]


def test_the_exit_code_comes_out_of_the_status() -> None:
    failed = {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}
    assert exit_code({"status": "Success"}) == 0
    assert exit_code(failed) == 7


def test_describe_hides_a_secrets_data_and_shows_its_size() -> None:
    from k8slite.cli.printers.describe import describe

    secret = {"kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "data": {"key": "aHVzaA=="}}
    text = describe(secret, [], now=datetime(2026, 1, 1, tzinfo=UTC))
    assert "aHVzaA" not in text
    assert "4 bytes" in text
