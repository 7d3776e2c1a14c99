import io

import pytest

from autotune.cli.waiting import Waiting


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "bar"), [(io.StringIO(), False), (Screen(), True)])
def test_notes_are_told_everywhere_and_places_on_a_screen(stream, bar):
    with Waiting(stream=stream) as waiting:
        waiting.at("training", 0.5)
        waiting.note("features: [given]")
        waiting.at("comparing", 0.0)
    assert "autotune: features: [given]\n" in stream.getvalue()
    assert ("training" in stream.getvalue()) == bar
    assert ("comparing" in stream.getvalue()) == bar


def test_who_wants_quiet_gets_it():
    stream = Screen()
    with Waiting(quiet=True, stream=stream) as waiting:
        waiting.note("features: given")
        waiting.at("training", 0.5)
    assert not stream.getvalue()
