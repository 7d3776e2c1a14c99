import multiprocessing
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import StorageError
from autotune.ledger import Charge, Label, Ledger
from autotune.training.meter import Meter
from autotune.training.tally import Tally, take

AMOUNTS = st.lists(st.tuples(st.sampled_from(list(Label)), st.floats(0, 1e18)), min_size=1, max_size=20)


@given(AMOUNTS, st.sampled_from(["local", "gpu-spot", "größer"]))
def test_what_was_charged_is_told_once(tmp_path_factory, charges, node):
    folder = tmp_path_factory.mktemp("trial")
    now = iter(range(1000))
    tally = Tally(folder, 7, node)
    meter = Meter(lambda: float(next(now)), tally.note)
    for label, flops in charges:
        with meter.measure(label):
            pass
        meter.charge(label, flops)
    expected = {label: (meter.ledger()[label].flops) for label in Label}
    spent, machine = take(folder, 7)
    assert ({label: spent[label].flops for label in Label}, machine) == (expected, node)
    assert spent.total.seconds == 2 * len(charges)  # each span, and the overhead before it
    assert take(folder, 7) == (Ledger(), "local")
    tally.close()


def start(folder, ready):
    meter = Meter(note=Tally(folder, 3, "spot").note)
    meter.charge(Label.TRAIN, 5.0)
    meter.charge(Label.SCORE, 2.0)
    ready.set()
    signal.pause()


def test_a_process_that_is_killed_loses_no_note(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=start, args=(tmp_path, ready))
    process.start()
    assert ready.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    spent, node = take(tmp_path, 3)
    assert (spent[Label.TRAIN].flops, spent[Label.SCORE].flops, node) == (5.0, 2.0, "spot")


def test_nothing_is_told_of_another_assignment_or_before_the_first_note(tmp_path):
    assert take(tmp_path, 3) == (Ledger(), "local")
    tally = Tally(tmp_path, 3, "local")
    assert take(tmp_path, 3) == (Ledger(), "local")
    tally = Tally(tmp_path, 3, "local")
    tally.note([1.0] * len(Label), [1.0] * len(Label))
    assert take(tmp_path, 4) == (Ledger(), "local")
    tally.close()


def test_a_start_that_was_replaced_writes_into_nothing(tmp_path):
    old = Tally(tmp_path, 3, "local")
    new = Tally(tmp_path, 3, "local")
    new.note([1.0] * len(Label), [0.0] * len(Label))
    old.note([9.0] * len(Label), [0.0] * len(Label))
    assert take(tmp_path, 3)[0] == Ledger(dict.fromkeys(Label, Charge(1.0, 0.0)))
    old.close()
    new.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*absent/spent.*give a storage path"):
        Tally(tmp_path / "absent", 3, "local")
