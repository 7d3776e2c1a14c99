import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from autotune import cli
from autotune.data import digits
from autotune.standalone.audit import audit
from autotune.standalone.page import page
from autotune.standalone.sources import Sources
from autotune.standalone.training import Training

SELECT = [
    "select",
    "fruit.csv",
    "--selector",
    "facility_location",
    "--fraction",
    "0.1",
    "--out",
    "out.parquet",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """60 rows as CSV, and as Parquet with a list beside; row 7 repeats row 3 under another label."""
    drawing = np.random.default_rng(0)
    classes = np.arange(60) % 2
    numbers = drawing.normal(size=(60, 2)).round(3) + 4 * classes[:, None]
    numbers[7], classes[7] = numbers[3], 0
    columns = {"length": numbers[:, 0], "width": numbers[:, 1]}
    columns["label"] = np.array(["pear", "quince"])[classes]
    pc.write_csv(pa.table(columns), tmp_path / "fruit.csv")
    pq.write_table(
        pa.table({**columns, "vector": list(drawing.normal(size=(60, 4)))}), tmp_path / "fruit.parquet"
    )
    np.save(tmp_path / "few.npy", np.ones((7, 2)))
    (tmp_path / "there.csv").write_text("somebody's")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_subset_of_a_file_by_features_that_are_computed_or_given(folder, capsys):
    assert cli.main(SELECT) == 0
    told = capsys.readouterr()
    assert told.out == "6 of 60 samples: out.parquet\n"
    assert "features: standardised columns" in told.err
    assert pq.read_table("out.parquet").num_rows == 6
    given = ["--features", "vector", "--inputs", "length", "width", "--overwrite", "--json"]
    assert cli.main(["select", "fruit.parquet", *SELECT[2:], *given]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["signals"] == {"features": "given"}
    assert not told.err


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--selector", "facility_locaton"], 4, "did you mean 'facility_location'"),
        (["--fraction", "1.5"], 4, r"--fraction must be in \(0, 1], got 1.5"),
        (["--out", "there.csv"], 4, "there.csv is there already; give another --out, or --overwrite"),
        (["--out", "out.json"], 4, "must end in .parquet or .csv"),
        (["--features", "few.npy"], 4, "one row per sample, 60, got 7"),
        (["--features", "lenght"], 4, "did you mean 'length'"),
        (["--features", "no.npy"], 4, "no.npy does not exist"),
        (["--target", "lable"], 4, "did you mean 'label'"),
        (["--parameter", "memory_gb=1"], 4, "did you mean 'memory_gib'"),
        (["--parameter", "memory_gib"], 4, "must be NAME=VALUE"),
        (["--selector", "temperature_mixture"], 4, "no column 'groups'"),
        (["--signal", "los=no.npy"], 4, "did you mean 'loss'"),
        (["--model", "no_such_module:f"], 4, "No module named 'no_such_module'"),
    ],
)
def test_what_cannot_work_is_said_in_a_line_and_leaves_nothing(folder, capsys, more, code, message):
    before = sorted(folder.iterdir())
    assert cli.main([*SELECT, *more]) == code
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert message.replace("\\", "") in told.err
    assert not told.out
    assert sorted(folder.iterdir()) == before


def test_an_audit_writes_a_table_and_a_page(folder, capsys):
    arguments = ["audit", "fruit.csv", "--out", "found", "--table", "csv", "--folds", "2", "--epochs", "20"]
    assert cli.main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] == 60
    assert told["exact_copies"] == told["copies_with_another_label"] == 1
    table = pc.read_csv(told["table"])
    assert sorted(table["id"].to_pylist()) == list(range(60))
    assert set(table["suggested"].to_pylist()) == {"pear", "quince"}
    row = table["id"].to_pylist().index(7)
    assert table["copy_of"][row].as_py() == 3
    assert "length" in (folder / "found" / "report.html").read_text()
    assert cli.main(arguments) == 4
    assert "samples.csv is there already" in capsys.readouterr().err


def test_a_page_of_pictures_loads_nothing():
    data = digits().take(np.arange(60))
    data = data.with_columns(inputs=data.inputs[[*range(59), 3]])
    found = audit(data, Sources(training=Training(epochs=1)), near=0.9, folds=2)
    shown = page(found, "digits <&>")
    assert "digits &lt;&amp;&gt;" in shown
    assert 'src="data:image/png;base64,' in shown
    assert "id 59" in shown
    assert "http" not in shown.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert found.copies()[0].tolist() == [3, 59]
    assert found.mixed() == sorted(found.mixed(), key=lambda pair: -pair[2])
    assert sum(count for _, _, count in found.mixed()) == len(found.suspects())


def test_data_without_targets_is_searched_for_copies_alone():
    data = digits().take(np.arange(40))
    found = audit(type(data).from_arrays(data.inputs))
    assert found.labels is None
    assert found.table()["id"].to_pylist() == list(range(40))
    assert "likely_mislabelled" not in found.summary()
    assert "Likely mislabelled" not in page(found, "digits")
