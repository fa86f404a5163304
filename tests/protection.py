"""Vectors of the protection, which every engine is held to: made here, read by the tests of both.

    python -m tests.protection

`tests/vectors/rate.txt` is a dialogue: a `rule` begins a fresh table, and each line below it is
one answer with what becomes of it.  Numbers are drawn from a fixed sequence, so that buckets
empty and fill, collide, make room, and outlive a turn of the clock.  `tests/vectors/cookies.txt`
has one cookie a line with what it is answered by; the first are those of RFC 9018, appendix A.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import product
from pathlib import Path

from gslb.dns.cookie import check, server_cookie
from gslb.model import Address, RateLimit
from gslb.routing.choice import stir
from gslb.routing.ratelimit import Kind, Limiter

VECTORS = Path(__file__).parent / "vectors"
RATE = VECTORS / "rate.txt"
COOKIES = VECTORS / "cookies.txt"
KEY = 0x0123456789ABCDEF
TURN_US = 1 << 40

RULES = [
    RateLimit(per_second=10, burst=3, slip=2, table=1024),
    RateLimit(per_second=7, burst=1, slip=1, ipv4=32, ipv6=64, table=2),
    RateLimit(per_second=100_000, burst=1, slip=0, ipv4=0, ipv6=0, table=8),
    RateLimit(per_second=3, burst=6, slip=10, table=8),
    RateLimit(
        per_second=1,
        burst=2,
        slip=3,
        ipv4=8,
        ipv6=128,
        table=16,
        exempt=(ip_network("192.0.2.128/25"), ip_network("2001:db8:1::/48")),
    ),
]
ANSWERS_PER_RULE = 150


OLD, NEW = "dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962"
SECRET = "e5e973e5a6b2a43f48e7dc849e37bfcf"
IPV6 = "2001:db8:220:1:59de:d0f4:8769:82b8"
# RFC 9018, appendix A: now, sender, secrets, the cookie that came, what it shows, what is answered.
# The cookie of A.3 is valid but for its age of 1 h 52 min, to which 4.3 gives an hour.
RFC_9018 = """
1559731985 198.51.100.100 S 2464c4abcf10c957 NEW 2464c4abcf10c957010000005cf79f111f8130c3eee29480
1559734385 198.51.100.100 S 2464c4abcf10c957010000005cf79f111f8130c3eee29480 VALID \
2464c4abcf10c957010000005cf7a871d4a564a1442aca77
1559734700 203.0.113.203 S fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5 WRONG \
fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e
1559741961 V N,O 22681ab97d52c298010000005cf7c57926556bd0934c72f8 VALID \
22681ab97d52c298010000005cf7c609a6bb79d16625507a
"""


def rfc_9018() -> list[str]:
    """Return the vectors of RFC 9018, appendix A, as lines of the file."""
    words = {"S": SECRET, "O": OLD, "N": NEW, "N,O": f"{NEW},{OLD}", "V": IPV6}
    lines = RFC_9018.replace("\\\n", "").strip().splitlines()
    return [" ".join(words.get(word, word) for word in line.split()) for line in lines]


def cookies_text() -> str:
    """Return the vectors of cookies as they are now."""
    head = ["# made by python -m tests.protection", "# now_s sender secrets came standing said"]
    return "\n".join([*head, *rfc_9018(), *_cookies()]) + "\n"


def _cookies() -> Iterator[str]:
    """Yield cookies of all ages, by either secret, in part from another clock or damaged."""
    client, made_s = bytes.fromhex("0123456789abcdef"), (1 << 32) - 1000  # the time wraps
    ages_s = (-301, -300, -1, 0, 1799, 1800, 3600, 3601, 1 << 31)
    for text, secret, age_s in product((IPV6, "192.0.2.1"), (NEW, OLD, SECRET), ages_s):
        sender = ip_address(text)
        made = server_cookie(client, sender.packed, made_s, bytes.fromhex(secret))
        yield _answered(made_s + age_s, sender, client + made)
    sender = ip_address("192.0.2.1")
    made = server_cookie(client, sender.packed, made_s, bytes.fromhex(NEW))
    for damaged in (b"\2" + made[1:], made[:1] + b"\1" + made[2:], made[:-1] + b"!", made + b"!"):
        yield _answered(made_s, sender, client + damaged)
    yield _answered(made_s, sender, client + bytes(8))
    yield _answered(made_s, sender, client[::-1] + made)
    yield _answered(made_s, sender, client)


def _answered(now_s: int, sender: Address, came: bytes) -> str:
    secrets = f"{NEW},{OLD}"
    checked = check(came, sender.packed, [bytes.fromhex(NEW), bytes.fromhex(OLD)], now_s)
    said = f"{checked.standing.name} {checked.octets.hex()}"
    return f"{now_s} {sender} {secrets} {came.hex()} {said}"


def rate_text() -> str:
    """Return the dialogue of limited answers as it is now."""
    return "\n".join(_limited()) + "\n"


def _limited() -> Iterator[str]:
    yield "# made by python -m tests.protection"
    yield "# rule per_second burst slip ipv4 ipv6 table key exempt,exempt"
    yield "# now_us sender kind draw action"
    for number, rule in enumerate(RULES):
        exempt = ",".join(map(str, rule.exempt)) or "-"
        yield (
            f"rule {rule.per_second} {rule.burst} {rule.slip} {rule.ipv4} {rule.ipv6} "
            f"{rule.table} {KEY + number:016x} {exempt}"
        )
        limiter = Limiter(rule, KEY + number)
        now_us = TURN_US * (number + 1) - 2_000_000
        for step in range(ANSWERS_PER_RULE):
            chance = stir(number << 32 | step)
            now_us += (0, 100, 30_000, 333_333)[chance & 3]
            if step == ANSWERS_PER_RULE - 10:
                now_us += TURN_US - 500_000
            sender, kind, draw = _sender(chance >> 2), Kind((chance >> 20) % 5), stir(chance)
            if chance >> 60:
                kind = Kind.ANSWER  # mostly, so that buckets do empty
            action = limiter.action(sender, kind, draw, now_us)
            yield f"{now_us} {sender} {kind.name.lower()} {draw:016x} {action.value}"


def _sender(chance: int) -> Address:
    if chance & 1:
        return ip_address(0xC0000200 + (chance >> 1 & 0xFF) // 64 * 64)
    return ip_address((0x20010DB8 << 96) + ((chance >> 1 & 3) << 80) + (chance >> 3 & 1))


if __name__ == "__main__":
    VECTORS.mkdir(exist_ok=True)
    RATE.write_text(rate_text())
    COOKIES.write_text(cookies_text())
