"""A submitted study: once however often it is asked for, again when it was lost, never in another's place."""

import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from autotune import ASHA, Budget, Confirm, Float, Plan, RandomSearch, SearchSpace, Study
from autotune.cli.jobs import code_of
from autotune.cluster.live.jobs import Standing, State
from autotune.engines.function import FunctionWorkload
from autotune.errors import ClusterError, ConfigurationError, StudyError
from autotune.study.submission import PRIVATE, find, study_id, submit


class FakeJobs:
    """A cluster's jobs, as Ray's client tells of them."""

    def __init__(self):
        self.known = {}
        self.refuse = False

    def submit_job(self, *, entrypoint, submission_id, runtime_env, metadata):
        if self.refuse or submission_id in self.known:
            raise RuntimeError(f"Request failed with status code {self.refuse or 500}")
        self.known[submission_id] = SimpleNamespace(
            submission_id=submission_id, entrypoint=entrypoint, runtime_env=runtime_env, metadata=metadata,
            status="RUNNING", driver_exit_code=None, message="",
        )  # fmt: skip
        return submission_id

    def get_job_info(self, job_id):
        return self.known[job_id]

    def list_jobs(self):
        return [SimpleNamespace(submission_id=None, metadata=None), *self.known.values()]

    def get_job_logs(self, job_id):
        return f"of {job_id}"

    def stop_job(self, job_id):
        self.known[job_id].status = "STOPPED"
        return True


@pytest.fixture
def study(tmp_path):
    file = tmp_path / "my study.yaml"
    file.write_text("task: a.b:c\n")
    return file


def test_submitting_twice_is_submitting_once(study):
    jobs = FakeJobs()
    first, second = submit(study, "s3://bucket/digits", jobs), submit(study, "s3://bucket/digits/", jobs)
    assert first.id == second.id == f"{study_id('s3://bucket/digits')}-1"
    [job] = jobs.known.values()
    assert job.entrypoint == (
        "python -m autotune run 'my study.yaml' --path s3://bucket/digits --engine ray --address auto --json"
    )
    assert job.runtime_env == {"working_dir": str(study.parent), "excludes": list(PRIVATE)}
    assert first.poll() == Standing(State.RUNNING)


def test_what_the_spec_says_of_trials_and_prices_goes_along(study):
    jobs = FakeJobs()
    submit(study, "/shared/a", jobs, {"CPU": 4.0, "GPU": 0.0}, {"spot": 0.45, "head": 0.1})
    [job] = jobs.known.values()
    assert job.entrypoint.endswith("--trial CPU=4 --prices spot=0.45,head=0.1 --address auto --json")


def test_files_that_hold_secrets_do_not_travel(tmp_path):
    """Ray packs the folder; what it leaves out by our patterns is not in the package."""
    from ray._private.runtime_env.packaging import create_package

    for name in (".env", "server.pem", "study.yaml", "model.py", "keys/id_rsa", ".ssh/config"):
        (tmp_path / "work" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "work" / name).write_text("x")
    target = tmp_path / "package.zip"
    create_package(str(tmp_path / "work"), target, include_gitignore=True, excludes=list(PRIVATE))
    with zipfile.ZipFile(target) as package:
        assert {Path(name).name for name in package.namelist() if not name.endswith("/")} == {
            "study.yaml",
            "model.py",
        }


@pytest.mark.parametrize(("status", "again"), [("FAILED", True), ("STOPPED", True), ("SUCCEEDED", False)])
def test_what_did_not_succeed_is_submitted_again(study, status, again):
    jobs = FakeJobs()
    first = submit(study, "/shared/a", jobs)
    jobs.known[first.id].status = status
    second = submit(study, "/shared/a", jobs)
    assert (second.id != first.id) == again
    assert find("/shared/a", jobs).id == find(second.id, jobs).id == second.id


def test_ten_attempts_are_counted_as_numbers(study):
    jobs = FakeJobs()
    for _ in range(11):
        last = submit(study, "/shared/a", jobs)
        last.cancel()
    assert last.id.endswith("-11")
    assert last.poll().state is State.STOPPED


def test_another_study_for_the_same_folder_is_refused(study):
    jobs = FakeJobs()
    submit(study, "/shared/a", jobs)
    study.write_text("task: a.b:d\n")
    with pytest.raises(ConfigurationError, match="is running and was submitted with another study file"):
        submit(study, "/shared/a", jobs)
    assert submit(study, "/shared/b", jobs).id != find("/shared/a", jobs).id


def test_a_file_that_could_not_work_is_mended_and_submitted_again(study):
    jobs = FakeJobs()
    first = submit(study, "/shared/a", jobs)
    vars(jobs.known[first.id]).update(status="FAILED", driver_exit_code=4)
    study.write_text("task: a.b:d\n")
    assert submit(study, "/shared/a", jobs).id != first.id
    assert submit(study, "/shared/a", jobs).id == find("/shared/a", jobs).id


def test_a_study_with_a_secret_in_it_is_not_sent_to_a_cluster(study):
    jobs = FakeJobs()
    study.write_text("task: a.b:c\ntask_arguments: {bucket: {secret: " + "hunter2hunter2" + "}}\n")
    with pytest.raises(
        ConfigurationError, match=r"task_arguments\.bucket\.secret: the value looks like"
    ) as caught:
        submit(study, "/shared/a", jobs)
    assert "hunter2" not in str(caught.value)
    assert not jobs.known


def test_a_cluster_that_takes_no_job_is_a_reason_to_try_again(study):
    jobs = FakeJobs()
    jobs.refuse = True
    with pytest.raises(ClusterError, match="takes no job"):
        submit(study, "/shared/a", jobs)


def test_who_comes_second_at_the_same_moment_gets_the_same_job(study):
    jobs = FakeJobs()
    listed, jobs.list_jobs = jobs.list_jobs, lambda: []
    first = submit(study, "/shared/a", jobs)
    answers = iter([[], listed()])
    jobs.list_jobs = lambda: next(answers)
    assert submit(study, "/shared/a", jobs).id == first.id


def test_a_file_that_is_not_there_and_a_job_that_is_not_are_named(study):
    with pytest.raises(ConfigurationError, match=r"cannot read .*none.yaml: No such file"):
        submit(study.parent / "none.yaml", "/shared/a", FakeJobs())
    with pytest.raises(ConfigurationError, match="no job of '/shared/a'; name a study's folder"):
        find("/shared/a", FakeJobs())


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (4, 4), (5, 5), (None, 3), (-9, 3), (137, 3)])
def test_an_exit_code_of_the_study_is_handed_on_and_a_lost_one_means_try_again(code, expected):
    assert code_of(Standing(State.FAILED, code)) == expected


def test_waiting_ends_when_the_job_does_or_the_time(study):
    jobs = FakeJobs()
    handle = submit(study, "/shared/a", jobs)
    assert handle.wait(timeout_s=0.0).state is State.RUNNING
    jobs.known[handle.id].status = "SUCCEEDED"
    assert handle.wait().state is State.DONE
    assert handle.logs() == f"of {handle.id}"


@pytest.mark.parametrize(("status", "code"), [("SUCCEEDED", 0), ("FAILED", 5)])
def test_a_result_is_read_from_the_folder_also_where_the_budget_ended_it(study, tmp_path, status, code):
    jobs, folder = FakeJobs(), tmp_path / "folder"
    workload = FunctionWorkload(lambda config, fidelity, seed: config["lr"])
    plan = Plan(Budget(trials=2), ASHA(horizon=1.0), RandomSearch(), Confirm(leaders=1, seeds=2))
    best = Study(workload, SearchSpace({"lr": Float(0.1, 1.0)}), folder, plan).run().best_config
    handle = submit(study, str(folder), jobs)
    vars(jobs.known[handle.id]).update(status=status, driver_exit_code=code)
    assert handle.result().best_config == best


@pytest.mark.parametrize(
    ("status", "code", "kind", "told"),
    [
        ("FAILED", 1, StudyError, "is failed .* see `autotune logs /shared/a`$"),
        ("FAILED", 4, ConfigurationError, "see `autotune logs /shared/a`$"),
        ("FAILED", 3, ClusterError, "submit it again to continue it"),
        ("FAILED", None, ClusterError, "submit it again to continue it"),
        ("STOPPED", None, ClusterError, "is stopped"),
    ],
)
def test_a_study_that_did_not_end_well_has_no_result_but_a_reason(study, status, code, kind, told):
    jobs = FakeJobs()
    handle = submit(study, "/shared/a", jobs)
    vars(jobs.known[handle.id]).update(status=status, driver_exit_code=code, message="as Ray says")
    with pytest.raises(kind, match=told) as caught:
        handle.result()
    assert type(caught.value) is kind


def test_a_result_is_not_waited_for_longer_than_asked(study):
    with pytest.raises(TimeoutError, match="is running after 0 s"):
        submit(study, "/shared/a", FakeJobs()).result(timeout_s=0.0)


def test_amounts_travel_as_they_are_and_what_is_free_has_its_price(study):
    jobs = FakeJobs()
    submit(study, "s3://b/d", jobs, {"CPU": 2, "memory": 8589934592, "GPU": 0}, {"head": 0, "spot": 0.4})
    [job] = jobs.known.values()
    assert "--trial CPU=2,memory=8589934592 --prices head=0,spot=0.4 " in job.entrypoint


def test_a_folder_that_is_too_large_is_not_to_be_sent_again(study):
    jobs = FakeJobs()
    jobs.refuse = "413: Maximum request body size 104857600 exceeded"
    with pytest.raises(ConfigurationError, match=r"too large to send.*list data.*gitignore"):
        submit(study, "s3://b/d", jobs)
    jobs.refuse = "500"
    with pytest.raises(ClusterError, match="takes no job"):
        submit(study, "s3://b/d", jobs)
