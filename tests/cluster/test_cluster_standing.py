"""What a cluster has cost, from how long its nodes were up."""

from autotune.cluster.live.standing import Standing, held


def node(kind, start_s, end_s=0.0):
    return {"type": kind, "start_ms": round(1000 * start_s), "end_ms": round(1000 * end_s)}


def test_lost_nodes_are_paid_for_until_they_went_and_living_ones_until_now():
    nodes = [node("gpu", 100.0, 400.0), node("gpu", 300.0), node("head", 0.0), node("late", 2000.0)]
    assert held(nodes, 1000.0) == {"gpu": 300.0 + 700.0, "head": 1000.0, "late": 0.0}
    assert held([], 1000.0) == {}


def test_the_bill_names_what_has_no_price():
    standing = Standing({}, {}, {}, {"a": "done", "b": "running"}, {"gpu": 1800.0, "head": 3600.0})
    assert standing.bill({"gpu": 2.0, "head": 0.5, "never": 9.0}) == (1.5, [])
    assert standing.bill({}) == (0.0, ["gpu", "head"])
    assert standing.running() == ["b"]
