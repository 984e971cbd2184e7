import math

import pytest
import yaml

from seedbed.run import partitions as module
from seedbed.run.partitions import (
    Offer,
    Partitions,
    real_offers,
    write_offers,
)
from seedbed.run.requests import Site, gpu_option, view
from seedbed.run.snakemake_internals import read_partitions
from seedbed.study.offers import OFFERS, within_offers

FILE = {
    "cpu": {"max_runtime": 2880, "max_mem_mb": 1_000_000, "max_threads": 128},
    "small": {"max_runtime": 2880, "max_mem_mb": 64_000, "max_threads": 8, "max_gpu": 1},
    "gpu": {"max_runtime": 600, "max_gpu": 8, "available_gpu_models": ["h100-sxm"]},
}


@pytest.fixture
def listed(tmp_path):
    file = tmp_path / "partitions.yaml"
    file.write_text(yaml.safe_dump({"partitions": FILE}, sort_keys=False))
    return read_partitions(file)


def job(**resources):
    return view("train_student", 1, resources, Site())


def test_a_job_goes_where_it_fits_and_leaves_gpus_to_those_that_need_them(listed):
    found = Partitions(listed, {})
    assert found.choose(job(mem_mb=60_000, runtime=100)) == "cpu"
    assert found.choose(job(mem_mb=60_000, runtime=100, gpu=1)) == "small"
    assert found.choose(job(mem_mb=60_000, runtime=100, gpu=2)) == "gpu"
    assert found.choose(job(mem_mb=60_000, gpu=1, gpu_model="h100-sxm", gres=None)) == "small"


def test_a_job_that_fits_nowhere_is_refused_with_the_numbers(listed):
    found = Partitions(listed, {})
    with pytest.raises(ValueError, match=r"3891 minutes, 4000 MB.*cpu offers 2880 minutes"):
        found.choose(job(mem_mb=4000, runtime=3891))
    with pytest.raises(ValueError, match=r"gpu_model a100.*gpu offers GPUs of the kinds h100-sxm"):
        found.choose(job(runtime=100, gpu=2, gpu_model="a100"))


def test_what_slurm_allows_counts_too(listed):
    real = {name: Offer(name, runtime=60) for name in ("cpu", "small", "gpu", "debug")}
    with pytest.raises(ValueError, match=r"asks for 100 minutes.*cpu offers 60 minutes"):
        Partitions(listed, real).choose(job(runtime=100))
    with pytest.raises(ValueError, match=r"no partition 'cpu', 'gpu', 'small'.*are debug, main"):
        Partitions(listed, {"main": Offer("main"), "debug": Offer("debug")})


def test_the_default_partition_takes_what_fits_it_alone():
    real = {"main": Offer("main", runtime=60, gpus=0)}
    found = Partitions(None, real, "main")
    assert found.choose(job(runtime=50)) == "main"
    with pytest.raises(ValueError, match=r"main does not take it.*60 minutes and 0 GPUs"):
        found.choose(job(runtime=70, gpu=1))
    with pytest.raises(ValueError, match="no partition 'other'"):
        found.choose(job(slurm_partition="other"))
    # Where SLURM says nothing, it decides.
    assert Partitions(None, {}).choose(job(runtime=70)) is None


def test_partitions_are_read_from_slurm(monkeypatch):
    shown = (
        "PartitionName=gpu Default=YES MaxTime=1-12:30:00 MaxMemPerNode=UNLIMITED State=UP\n"
        "PartitionName=old MaxTime=UNLIMITED MaxMemPerNode=2000 MaxCPUsPerNode=16 State=UP\n"
    )
    nodes = (
        "gpu|512000+|64|gpu:h100-sxm:8(S:0-1),shard:4\ngpu|256000|128|gpu:a100:4\nold|1|32|(null)\n"
    )
    monkeypatch.setattr(module, "_said", lambda *words: shown if "show" in words else nodes)
    offers, default = real_offers()
    assert default == "gpu"
    assert offers == {
        "gpu": Offer("gpu", 36 * 60 + 30, 512_000, 128, 8),
        "old": Offer("old", math.inf, 2000, 16, 0),
    }


def test_time_and_memory_are_no_more_than_a_partition_offers(monkeypatch):
    monkeypatch.setenv(OFFERS, "")
    write_offers([Offer("cpu", 2880, 64_000, gpus=0), Offer("gpu", 600, 500_000, gpus=8)])
    assert within_offers(0, 4000, 1000, (100, 1000)) == (2880, 1000)
    assert within_offers(2, 4000, 600_000, (100, 1000)) == (600, 500_000)
    assert within_offers(0, 4000, 90_000, (100, 80_000)) == (600, 90_000)
    # Too little in any of them: an error later, not a job that is killed.
    assert within_offers(2, 4000, 1000, (700, 1000)) == (4000, 1000)


def test_a_job_asks_for_gpus_as_its_site_wants():
    asked = job(gpu=2, gpu_model="h100-sxm")
    assert gpu_option(asked.resources, Site()) == ["--gpus=h100-sxm:2"]
    assert gpu_option(asked.resources, Site("gres")) == ["--gres=gpu:h100-sxm:2"]
    assert gpu_option(job(gpu=1).resources, Site("gres")) == ["--gres=gpu:1"]
    assert gpu_option(job(gpu=0, gpu_model="h100").resources, Site()) == []
    # What is asked for by name takes the place of the rule's.
    own = job(gpu=1, gres="gpu:a100-40gb:1")
    assert gpu_option(own.resources, Site()) == ["--gres=gpu:a100-40gb:1"]
    assert "gpu" not in own.resources


@pytest.mark.parametrize(
    ("resources", "site", "cores"),
    [
        ({}, Site(), 1),
        ({"gpu": 2}, Site(), 8),
        ({"gpu": 2}, Site(cores_per_gpu=16), 32),
        ({"gpu": 2, "cpus_per_task": 3}, Site(), 3),
        ({"mem_mb": 22_000, "mem_mb_per_cpu": 4000}, Site(), 6),
        ({"gpu": 2, "mem_mb": 22_000, "mem_mb_per_cpu": 4000}, Site(), 8),
    ],
)
def test_cores_come_with_gpus_and_with_memory(resources, site, cores):
    assert view("job", 1, resources, site).resources["cpus_per_task"] == cores
