"""What an emulated function prints: whose it is, where it goes, what of it is a log's tail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gateway.invoke.emulated import call, invocation, until, value

if TYPE_CHECKING:
    from tests.gateway.invoke.emulated import Emulator


async def test_lines_carry_the_request_id_between_start_and_report(emulator: Emulator) -> None:
    function = emulator.function(
        """
        import sys
        print("while importing")
        def handler(event, context):
            print("out", event)
            print("err", event, file=sys.stderr)
            sys.stdout.write("no line end")
        """
    )
    assert await function.start() is None
    first = await call(function, 1)
    second = await call(function, 2)
    await until(lambda: sum("REPORT" in line for _, line in emulator.lines) == 2)
    assert emulator.lines[0] == ("", "while importing")
    for number, request_id in ((1, first.request_id), (2, second.request_id)):
        lines = [line for owner, line in emulator.lines if owner == request_id]
        assert lines[0] == f"START RequestId: {request_id} Version: $LATEST"
        assert f"err {number}" in lines
        assert any(line.endswith(f"out {number}") for line in lines)
        assert lines[-2] == f"END RequestId: {request_id}"
        assert lines[-1].startswith(f"REPORT RequestId: {request_id}\tDuration: ")
        assert "\tMemory Size: 1024 MB\tMax Memory Used: " in lines[-1]
        assert ("Init Duration" in lines[-1]) == (number == 1)


async def test_much_output_and_long_lines_do_not_block_the_function(emulator: Emulator) -> None:
    function = emulator.function(
        """
        def handler(event, context):
            print("y" * 1_000_000)
            for i in range(20_000): print(i)
            return "done"
        """
    )
    assert await value(function) == "done"
    await until(lambda: emulator.printed("REPORT"))
    assert max(len(line) for _, line in emulator.lines) <= 16 * 1024
    assert emulator.printed("19999")


async def test_a_line_without_an_end_belongs_to_the_invocation_that_wrote_it(
    emulator: Emulator,
) -> None:
    function = emulator.function("""
        import logging

        def handler(event, context):
            try:
                return {}[event]
            except KeyError:
                logging.exception("not found")  # the runtime ends what it logs without a newline
    """)
    first = (await call(function, "one")).request_id
    second = (await call(function, "two")).request_id
    await until(lambda: emulator.printed(f"REPORT RequestId: {second}"))
    for request_id, last in ((first, "KeyError: 'one'"), (second, "KeyError: 'two'")):
        lines = [line for whose, line in emulator.lines if whose == request_id]
        assert lines[-3] == last
        assert lines[-2] == f"END RequestId: {request_id}"


async def test_the_log_tail_is_the_end_of_this_invocations_log(emulator: Emulator) -> None:
    function = emulator.function(
        """
        def handler(event, context):
            for i in range(event): print("line", i)
        """
    )
    await function.invoke_with_log(invocation(3))
    result, log = await function.invoke_with_log(invocation(1000))
    assert len(log) == 4096
    assert b"line 999\nEND RequestId: " in log
    assert (
        log.rstrip().split(b"\n")[-1].startswith(f"REPORT RequestId: {result.request_id}".encode())
    )
