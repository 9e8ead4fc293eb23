"""A short edition of the long walk that `make walk` takes."""

from flask import Flask

from tests.ledger_walk import ACTIONS, walk


def test_whatever_is_done_no_fen_appears_or_vanishes(app: Flask):
    done = walk(steps=120, seed=11)
    assert set(ACTIONS) <= set(done), "each was done at least once"
