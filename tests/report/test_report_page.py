import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import study, write

from autotune.errors import StorageError
from autotune.report.page import page, write_page
from autotune.report.view import StudyView

VOID = {"meta", "br"}
CASES = {
    "none": {"trials": 0},
    "nothing yet": {"trials": 0, "confirmed": False},
    "one": {"trials": 1, "failing": 0.0},
    "all failed": {"trials": 12, "failing": 1.0},
    "unfinished": {"trials": 25, "confirmed": False},
    "finished": {"trials": 60},
    "minimised": {"trials": 30, "mode": "min"},
}


class Checker(HTMLParser):
    """Every element is closed by its own end tag; remembers the tags and attributes it saw."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "style", "onclick")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(text):
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert checker.links == []
    assert checker.seen.count("script") == 1
    return checker


@pytest.mark.parametrize("case", CASES)
def test_every_study_has_a_well_formed_page(case):
    text = page(StudyView.of(study(**CASES[case])))
    checked(text)
    assert "nan" not in re.sub(r"<script>.*</script>", "", text, flags=re.S).lower().replace("finance", "")


def test_the_page_needs_no_network_and_forbids_it():
    text = page(StudyView.of(study(30)))
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|@import|url\(", text)


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_names_and_errors_from_anywhere_stay_text(name):
    evil = "</script><img src=x onerror=alert(1)>$title" + name
    text = page(StudyView.of(study(8, failing=0.5, rename=lambda _: evil)))
    assert "img" not in checked(text).seen


def test_settings_from_anywhere_stay_text():
    events = study(8, failing=0.0)
    for event in events:
        if type(event).__name__ == "Proposed":
            event.config["optimizer"] = "<script>alert(1)</script>"
            event.config['na"me<b>'] = float(event.trial)
    assert "b" not in set(checked(page(StudyView.of(events))).seen) - {"b"}
    assert "<script>alert" not in page(StudyView.of(events))


def test_two_thousand_trials_make_no_huge_page():
    text = page(StudyView.of(study(2000)))
    assert len(text) < 600_000
    assert text.count("<tr>") < 120


def test_writing_gives_the_place_and_replaces_the_old_page(tmp_path):
    write(tmp_path, study(20))
    target = write_page(tmp_path)
    assert target == tmp_path / "result" / "report.html"
    target.write_text("old")
    assert write_page(tmp_path).read_text().startswith("<!doctype html>")
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    write(tmp_path, study(3))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another --out"):
        write_page(tmp_path, tmp_path / "file" / "report.html")
