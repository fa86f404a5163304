"""What outlives a restart: words with their stamps, and files from before there were any."""

import json

from hypothesis import given

from gslb.daemons import store
from gslb.health.belief import Forced, Word
from gslb.health.words import Register
from tests.test_words import tables


@given(tables)
def test_words_come_back_with_their_stamps_and_what_was_taken_back_with_them(table):
    state = store.State(7, words=table)

    assert store.decode(store.encode(state)).words == table


def test_a_file_from_before_words_had_stamps_is_read():
    word = {"word": "drain", "until_s": None, "reason": "update", "by": "ops"}
    forced = [{"address": "192.0.2.1", "service": "", **word}]
    old = {"version": 1, "generation": 7, "records": [], "forced": forced}

    state = store.decode(json.dumps(old).encode())

    kept = Register(0, "", Forced(Word.DRAIN, None, "update", "ops"))
    assert state.words == {("192.0.2.1", ""): kept}
