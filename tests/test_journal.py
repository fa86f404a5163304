"""The access log's way out: a reader that stops makes nobody wait, and no line is cut."""

import asyncio
import json
import os
import socket
import tty
from contextlib import contextmanager, suppress

import pytest

from gslb.daemons import outlet
from gslb.daemons.journal import BATCH, HELD_MAX, Journal
from gslb.proxy.accesslog import AccessLog
from tests.exchanges import World

LONG = 100_000  # more than a pipe has room for


@contextmanager
def as_stdout(descriptor):
    """Have this process write to *descriptor* as its standard output."""
    before = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        os.dup2(before, 1)
        os.close(before)


class Reader:
    """What a journal writes to, read when a test wants it."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self.octets = b""

    def read(self):
        """Take all that is there."""
        with suppress(BlockingIOError):
            while octets := os.read(self._descriptor, 1 << 20):
                self.octets += octets

    def read_from(self, *journals):
        """Take all that they hold."""
        before = None
        while before != self.octets:
            before = self.octets
            for journal in journals:
                journal.flush()
                self.read()
        return self.lines

    @property
    def lines(self):
        """The names that the lines tell, each of which must be whole."""
        assert self.octets.endswith(b"\n")
        return [json.loads(line)["user_agent"].rstrip("x") for line in self.octets.splitlines()]


def notes(journal, *names, size=0):
    """Have *journal* note a request of each name, in a line of more than *size* octets."""
    for name in names:
        world = World()
        client, _ = world.ask(b"GET / HTTP/1.1", b"User-Agent: " + str(name).encode() + b"x" * size)
        world.connected().answer()
        assert client.is_done
        journal.note(world.done[0])


def made(where="stdout"):
    journal = Journal(lambda: 1.0, lambda: 1.0)
    journal.open(where, AccessLog().line)
    return journal


@pytest.fixture
def pipe():
    """Give the two ends of a pipe, of which the second is the one to write to."""
    ends = os.pipe()
    yield ends
    for each in ends:
        with suppress(OSError):
            os.close(each)


def test_a_reader_that_stops_makes_nobody_wait_and_lines_beyond_the_bound_are_dropped(pipe):
    reader = Reader(pipe[0])
    with as_stdout(pipe[1]):
        journal = made()
        count = (HELD_MAX + 2 * BATCH) // 1000 + 100
        notes(journal, *range(count), size=1000)

    assert 0 < journal.dropped < count // 2
    names = reader.read_from(journal)
    assert names == [str(each) for each in range(count - journal.dropped)]

    notes(journal, "later")
    assert reader.read_from(journal)[-1] == "later"
    journal.close()


def test_what_is_shared_with_others_stays_as_it_was(pipe):
    with as_stdout(pipe[1]):
        journal = made()
        notes(journal, *range(100), size=1000)

        assert os.get_blocking(1)
    journal.close()


@pytest.mark.parametrize("reopens", [True, False])
def test_a_line_that_has_no_room_is_finished_before_another(pipe, monkeypatch, reopens):
    if not reopens:

        def refuses(*_):
            raise PermissionError

        monkeypatch.setattr(outlet.os, "open", refuses)
    reader = Reader(pipe[0])
    with as_stdout(pipe[1]):
        journal = made()
    notes(journal, "a", "b", size=LONG)
    notes(journal, "c")
    journal.flush()

    assert reader.read_from(journal) == ["a", "b", "c"]
    assert journal.dropped == 0
    journal.close()


def test_another_process_writes_nothing_into_a_line_that_is_not_finished(pipe):
    reader = Reader(pipe[0])
    where = f"/proc/self/fd/{pipe[1]}"
    one, other = made(where), made(where)
    notes(one, "a", size=LONG)
    one.flush()
    reader.read()
    assert not reader.octets.endswith(b"\n")
    notes(other, "b", size=BATCH)

    assert reader.read_from(other, one) == ["a", "b"]
    one.close()
    other.close()


def test_what_waits_for_room_goes_on_waiting_over_a_reload(pipe):
    reader = Reader(pipe[0])
    with as_stdout(pipe[1]):
        journal = made()
        notes(journal, "a", size=LONG)
        journal.open("stdout", AccessLog().line)
    notes(journal, "b")

    assert reader.read_from(journal) == ["a", "b"]
    journal.close()


def test_a_named_pipe_whose_reader_goes_and_comes_back_gets_whole_lines(tmp_path):
    path = tmp_path / "log"
    os.mkfifo(path)
    with pytest.raises(OSError, match="No such device"):
        made(str(path))  # nobody reads it, and nobody waits for that
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    journal = made(str(path))
    notes(journal, "a", size=LONG)
    os.close(descriptor)
    notes(journal, "b")
    journal.flush()
    assert journal.dropped == 1

    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    notes(journal, "c")
    assert Reader(descriptor).read_from(journal) == ["a", "c"]
    journal.close()
    os.close(descriptor)


def test_a_socket_that_nobody_reads_makes_nobody_wait():
    here, there = socket.socketpair()
    with as_stdout(here.fileno()):
        journal = made()
        notes(journal, *range(1500), size=1000)
        assert os.get_blocking(1)
    assert journal.dropped

    names = Reader(there.fileno()).read_from(journal)
    assert names == [str(each) for each in range(1500 - journal.dropped)]
    journal.close()
    here.close()
    there.close()


def test_a_terminal_that_is_stopped_makes_nobody_wait():
    there, here = os.openpty()
    tty.setraw(here)
    with as_stdout(here):
        journal = made()
        notes(journal, *range(100), size=1000)
        assert os.get_blocking(1)

    assert Reader(there).read_from(journal) == [str(each) for each in range(100)]
    journal.close()
    os.close(here)
    os.close(there)


def test_on_a_full_disk_lines_are_dropped_and_counted():
    journal = made("/dev/full")
    notes(journal, "a", "b")
    journal.flush()

    assert journal.dropped == 2
    journal.close()


def test_a_file_that_was_moved_away_is_left_at_the_next_reload(tmp_path):
    path, moved = tmp_path / "log", tmp_path / "log.1"
    journal = made(str(path))
    notes(journal, "a")
    path.rename(moved)
    notes(journal, "b")
    journal.open(str(path), AccessLog().line)
    notes(journal, "c")
    journal.close()

    assert moved.read_text().count("\n") == 2
    assert path.read_text().count("\n") == 1


async def test_at_the_end_a_reader_is_given_a_moment(pipe):
    reader = Reader(pipe[0])
    with as_stdout(pipe[1]):
        journal = made()
    notes(journal, *range(200), size=1000)
    asyncio.get_running_loop().add_reader(pipe[0], reader.read)
    await journal.finish()
    asyncio.get_running_loop().remove_reader(pipe[0])
    reader.read()

    assert reader.lines == [str(each) for each in range(200)]
    assert journal.dropped == 0


async def test_at_the_end_a_reader_that_stopped_is_not_waited_for(pipe):
    with as_stdout(pipe[1]):
        journal = made()
    notes(journal, *range(200), size=1000)

    async with asyncio.timeout(20):
        await journal.finish()

    assert 0 < journal.dropped < 200
