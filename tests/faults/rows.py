"""The fault matrix: what goes wrong, and what browser, gateway and function make of it.

A test that proves a row carries ``@pytest.mark.fault(NUMBER)``; docs/faults.md is made of both
(`tests.generated_docs`). Numbers are names: they stay when a row goes. 41 and 42 are handing over,
which this version does not have.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    Attributes:
        number: its name.
        fault: what happens.
        browser: what the HTTP client notices; empty for nothing.
        gateway: what the gateway does; `function` likewise.
        shared_journal: it comes with the shared journal, and needs no test before.
    """

    number: str
    fault: str
    browser: str = ""
    gateway: str = ""
    function: str = ""
    shared_journal: bool = False


def _later(number: str, fault: str, browser: str, gateway: str, function: str) -> Row:
    return Row(number, fault, browser, gateway, function, shared_journal=True)


ROWS = (
    Row("1", "The first dial is refused, or its name not found", "waits longer for the head", "waits", "tries again with jitter: the direct URL twice, then the next"),
    Row("2", "Cut after the upgrade, before ATTACH", "", "forgets the socket", "dials again"),
    Row("3", "Upgraded, and never an ATTACH", "", "closes 4408 after 5 s", ""),
    Row("4", "Cut between ATTACH and ATTACHED", "", "DETACHED", "attaches with the next epoch, sends nothing before ATTACHED"),
    Row("5", "Cut after HEAD, before DATA", "has the head, waits", "DETACHED at offset 0", "resumes; HEAD is known and not sent again"),
    Row("6", "Cut in the middle of DATA, at any byte", "a pause, then every byte once", "resumes at R", "sends again from R"),
    Row("7", "Cut while END is on its way", "a pause, then a clean end; a visible break if the invoke of a small response is lost as well", "waits for END, or for the receipt", "sends END again; a small response has returned"),
    Row("8", "END arrived, END_ACK lost", "a clean end", "a tombstone answers", "sends END again, or hears that it is over; returns. A small response has returned before"),
    Row("9", "Cut for good while the function lives", "the whole body if the tail fits, else visibly broken", "takes the tail from the receipt", "returns the tail after 15 s"),
    Row("10", "Half open TCP under an active stream", "a pause of ping + dead at most", "no PONG: DETACHED", "silence: dials again, the newest wins"),
    Row("11", "One-way loss: one side thinks it dead, the other alive", "a pause", "a newer ATTACH fences the old", "4409 or silence: dials again"),
    Row("12", "Two sockets attach for one stream (hedge)", "", "the higher epoch wins, frames of the other are dropped", "uses the newest"),
    Row("13", "A fenced connection still delivers frames", "", "drops and counts them", ""),
    Row("14", "A parked socket died while the environment was frozen", "150 ms more at most", "nothing pends", "hedges with a fresh dial"),
    Row("15", "After a thaw every timer is due at once", "", "", "the thaw guard arms them anew"),
    Row("16", "The environment ends while its socket is parked", "", "RST, or closed after park_ttl", ""),
    Row("17", "User code holds the event loop for long", "a pause at most", "PINGs are answered", "the I/O thread lives on"),
    Row("18", "The gateway is killed; its journal dies with it", "the connection is reset", "starts anew, knows nothing", "ATTACH gets UNKNOWN: stops, returns \"lost\""),
    _later("19", "The gateway is killed; the journal is shared", "resumes at another one, nothing twice", "another claims the stream after its lease", "attaches at the cluster URL"),
    Row("20", "SIGTERM", "its end, or a visible break", "drains in two phases", "GOAWAY: finishes"),
    _later("21", "The gateway is stopped for 30 s, then goes on", "a pause", "its lease is gone: it stops writing", "is attached elsewhere"),
    _later("22", "The shared journal is down at the start", "503, or a stream that cannot resume", "as its policy says", ""),
    _later("23", "The shared journal goes down in mid-stream", "a pause", "acknowledges nothing, then degrades", "waits for credit"),
    _later("24", "A failover of the shared journal loses a suffix", "410, never wrong bytes", "sees another log", ""),
    _later("25", "The shared journal is slow", "latency", "larger batches", "waits for credit"),
    Row("26", "A slow client", "takes its time", "one window in memory, no more credit", "waits in write()"),
    Row("27", "A client that takes nothing any more", "its own timeout", "write_stall: CANCEL", "stops, RESET"),
    Row("28", "The client leaves before the head", "", "CANCELLED", "CANCEL, or REJECT CANCELLED when it attaches"),
    Row("29", "The client leaves in mid-stream", "", "CANCEL at once", "is cancelled, cleans up, returns"),
    Row("30", "User code ignores the cancel", "", "over; what still comes is dropped, the seconds are counted", "RESET after 2 s; runs to its end"),
    Row("30b", "The client vanishes without FIN", "", "TCP_USER_TIMEOUT of `write_stall`, then as 29", "as 29"),
    Row("31", "The client leaves in mid-upload", "", "CANCEL, never END of the request", "the reader of the request raises"),
    Row("32", "A slow uploader", "408", "a least rate", "CANCEL"),
    Row("33", "The function never reads the upload", "the response", "no credit; closes the connection rather than drain much", ""),
    Row("34", "Cut in the middle of an upload", "", "sends again from req_recv", "takes every byte once"),
    Row("35", "The invoke is throttled", "503 + Retry-After", "two more tries with jitter", ""),
    Row("36", "The invoke API cannot be connected", "the response, or 503", "tries again: nothing ran", ""),
    Row("37", "The invoke API is lost after the request was sent", "the stream goes on", "no further invoke; the outcome is unknown", ""),
    Row("38", "The function dies before ATTACH", "502 at once", "the invoke's outcome wins over every timer", ""),
    Row("39", "The function dies after HEAD", "visibly broken", "FAILED at once", ""),
    Row("40", "The function runs into its own timeout", "visibly broken", "RESET DEADLINE comes first", "resets 5 s (10 %) early"),
    Row("43", "The function returns before END", "502, or visibly broken", "FAILED", ""),
    Row("44", "One invocation runs twice", "one response", "another secret: BAD_TOKEN", "the second copy stops"),
    Row("45", "A token is replayed after the first attach", "", "another secret: BAD_TOKEN", ""),
    Row("46", "The token expires during a long stream", "", "its exchange still opens to it", "reconnects"),
    Row("47", "Clocks differ", "", "a minute is tolerated, beyond it 401", "falls back to the next URL"),
    Row("48", "A frame over the limit", "", "closes 4413, DETACHED", "splits; the third time fails"),
    Row("49", "Malformed or truncated frames", "a resume, or 502", "closes 4400, DETACHED", "attaches again, twice"),
    Row("50", "A msgpack bomb", "", "refused before anything is allocated, 4400", ""),
    Row("51", "The function sends beyond its credit", "502, or visibly broken", "FAILED (FLOW_CONTROL)", ""),
    Row("52", "A gap, or other bytes at an offset", "502, or visibly broken", "4400, FAILED (DIVERGED)", ""),
    Row("53", "A bit flips between library and gateway", "visibly broken, never complete", "the CRC differs at END or resume", "RESET DIVERGED"),
    Row("54", "CR, LF, NUL or a bad name in a header", "502", "refuses the head, writes nothing of it", ""),
    Row("55", "Transfer-Encoding, two lengths, or a wrong one from the function", "502, or visibly broken", "drops or refuses, writes no byte beyond the length", ""),
    Row("56", "Request smuggling", "400, closed", "refuses what is ambiguous", "never sees it"),
    Row("57", "A flood of ATTACH or RESET", "others notice nothing", "closes 4420", ""),
    Row("58", "All functions reconnect at once", "a short delay", "takes them at a rate, REJECT OVERLOADED", "full jitter"),
    Row("59", "A load balancer cuts quiet connections", "", "PING on quiet callbacks, an SSE comment after 15 s", "PONG"),
    Row("60", "Proxies buffer or compress SSE", "", "X-Accel-Buffering: no, Cache-Control: no-transform, every event leaves at once", ""),
    _later("61", "Two clients resume one stream", "both get every byte", "two readers of one log", ""),
    _later("62", "A resume beyond the log, before it, or by another user", "410, 410, 403", "", ""),
    _later("63", "A resume before the first byte", "waits, then gets bytes", "subscribes, then reads", ""),
    Row("64", "Versions differ", "", "400 names what it speaks; unknown trailing fields are ignored", "a clear line in the log, the receipt carries the response"),
    Row("65", "Memory runs short in the gateway", "503 for new ones only", "windows stop growing, parked sockets go", ""),
    Row("66", "File descriptors run out", "waits, or 503", "pauses accepting, parked sockets go", "backs off"),
    Row("67", "A forged or repeated xid", "", "the token is bound: REJECT", ""),
    Row("68", "Body bytes for HEAD, 204, 304", "a correct empty body", "drops and counts them", ""),
)  # fmt: skip
