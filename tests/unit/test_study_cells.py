import itertools
import re
import time

import pytest
import study_folder as sf
from hypothesis import given
from hypothesis import strategies as st

from seedbed.study.cells import (
    Cell,
    QuestionStream,
    SeedSet,
    Stream,
    grid,
    queries,
    untrained_cell,
    wildcard_pattern,
)
from seedbed.study.loading import load_study
from seedbed.study.shards import Shard, ShardBounds
from seedbed.study.targets import Targets

BLOCK = sf.STUDY["blocks"][0]
AUGMENTERS = {
    "name": "augmenters",
    "tasks": ["sums"],
    "methods": ["question_rephrase", "new_question"],
    "seeds": [20],
    "budgets": [80, 100],
    "augmenters": ["teacher", "weak"],
    "teachers": ["teacher"],
    "students": ["student"],
}


def make(folder, *blocks):
    files = sf.bend(sf.FILES, "studies/trial.yaml", ("blocks",), list(blocks))
    return grid(load_study("trial", sf.write(folder, files)))


@pytest.fixture(scope="module")
def two_blocks(tmp_path_factory):
    return make(tmp_path_factory.mktemp("two"), BLOCK, AUGMENTERS)


def sizes(grid):
    return {
        "cells": len(grid.cells),
        "datasets": len(grid.datasets),
        "streams": len(grid.streams),
        "question_streams": len(grid.question_streams),
        "seed_sets": len(grid.seed_sets),
    }


def test_one_block_counted_by_hand(tmp_path):
    # 2 methods x 2 sizes x 2 ratios, and the baseline; new questions have a stream a size.
    assert sizes(make(tmp_path, BLOCK)) == {
        "cells": 8 + 1,
        "datasets": 8,
        "streams": 4,
        "question_streams": 2,
        "seed_sets": 2,
    }


def test_overlapping_blocks_counted_by_hand(two_blocks):
    # The second block has 2 methods x 2 augmenters x 2 budgets, of which new questions by the
    # teacher at 80 queries stand in the first as well.
    assert sizes(two_blocks) == {
        "cells": 8 + 7 + 1,
        "datasets": 8 + 7,
        "streams": 4 + 3,
        "question_streams": 2 + 3,
        "seed_sets": 2,
    }


def test_every_list_multiplies(tmp_path):
    block = BLOCK | {
        "tasks": ["sums", "real"],
        "augmenters": ["other", "weak"],
        "teachers": ["other", "teacher"],
        "students": ["student", "other"],
        "replicates": 3,
    }
    files = sf.bend(sf.FILES, "studies/trial.yaml", ("blocks",), [block])
    for model in ("teacher", "student"):
        files = sf.bend(files, f"models/{model}.yaml", ("worlds",), {"real": "mini_math"})
    found = grid(load_study("trial", sf.write(tmp_path, files)))
    # Answer augmentation has no augmenter, new questions two: 1 + 2 kinds of stream.
    streams = 2 * (1 + 2) * 2 * 2 * 3
    assert sizes(found) == {
        "cells": streams * 2 * 2 + 2 * 2,
        "datasets": streams * 2,
        "streams": streams,
        "question_streams": 2 * 2 * 2 * 3,
        "seed_sets": 2 * 2 * 3,
    }
    assert {seed_set.replicate for seed_set in found.seed_sets} == {1, 2, 3}


PAIRS = {
    "name": "pairs",
    "tasks": ["sums"],
    "methods": ["seed_only", "human"],
    "seeds": [10, 20],
    "budget_ratios": [1, 2, 4],
    "students": ["student"],
    "replicates": 2,
}


def test_real_pairs_are_cells_of_as_many_seeds_without_a_budget(tmp_path):
    found = make(tmp_path, PAIRS)
    cells = {(c.method, c.seeds, c.replicate) for c in found.cells if not c.untrained}
    # 10, 20 and 40 pairs for one size, 20, 40 and 80 for the other: each once.
    assert cells == {
        *(("seed_only", seeds, r) for seeds in (10, 20) for r in (1, 2)),
        *(("human", pairs, r) for pairs in (10, 20, 40, 80) for r in (1, 2)),
    }
    assert {(c.teacher, c.augmenter, c.filter, c.budget) for c in found.cells} == {
        ("none", "none", "none", 0)
    }
    assert sizes(found) == {
        "cells": 2 * 2 + 4 * 2 + 1,
        "datasets": 2 * 2 + 4 * 2,
        "streams": 0,
        "question_streams": 0,
        # A baseline of 10 pairs has the seeds of the methods that start from 10.
        "seed_sets": 4 * 2,
    }


def test_verified_rows_that_are_topped_up_reach_further_along_their_stream(tmp_path):
    block = BLOCK | {"seeds": [10], "filters": ["none", "verified", "verified_matched"]}
    found = make(tmp_path, block | {"budget_ratios": [1, 3]})
    assert len(found.datasets) == 2 * 2 * 3
    reaches = {(d.filter, d.budget): d.reach(1.5) for d in found.datasets}
    assert reaches[("verified", 30)] == reaches[("none", 30)] == 30
    assert reaches[("verified_matched", 30)] == 45
    assert {found.largest_budget(stream) for stream in found.streams} == {45}
    assert {found.largest_budget(stream) for stream in found.question_streams} == {45}
    assert {found.largest_verified(stream) for stream in found.streams} == {45}


def test_answers_are_verified_only_as_far_as_a_filter_asks(tmp_path):
    verified = BLOCK | {"name": "verified", "filters": ["verified"], "budget_ratios": [1]}
    found = make(tmp_path, BLOCK, verified)
    assert {(s.seeds, found.largest_verified(s)) for s in found.streams} == {(10, 10), (20, 20)}
    assert {(s.seeds, found.largest_budget(s)) for s in found.streams} == {(10, 40), (20, 80)}


def test_shipped_studies_counted_by_hand():
    counts = {
        # 3 methods x 2 sizes x 4 ratios, a mixture at 2 ratios, and the baseline.
        "demo": 3 * 2 * 4 + 2 + 1,
        # 3 tasks, one size; 2 weaker augmenters x 2 methods x 3 tasks; another student on one task;
        # 4 mixtures x 2 ratios x 3 replicates; 2 filters x 3 methods x 3 tasks, and one at the
        # highest ratio; another teacher with 2 methods x 2 ratios x 2 filters, and the first one
        # verified at the lower ratio; 3 sets of real pairs x 3 tasks; and the baselines of 3 tasks
        # and of the other student.
        "miniature": 90 + 24 + 24 + 2 * 3 * 4 - 2 * 3 + 8 + 24 + 12 + 12 + 2 + 2 + 8 + 9 + 4,
        # 3 methods at 2 ratios with one size, and at one with another; a weaker augmenter, verified
        # answers, the seeds alone, and the baseline.
        "micro": 3 * 2 + 3 + 1 + 1 + 1 + 1,
        "gsm8k_tiny": 3 * 2 + 1,
    }
    folder = sf.Path(__file__).parents[2] / "config"
    assert {name: len(grid(load_study(name, folder)).cells) for name in counts} == counts


def test_keys_are_unique_and_lead_back(two_blocks):
    for points, by_key in (
        (two_blocks.cells, two_blocks.cell_by_key),
        (two_blocks.datasets, two_blocks.dataset_by_key),
        (two_blocks.streams, two_blocks.stream_by_key),
        (two_blocks.question_streams, two_blocks.question_stream_by_key),
        (two_blocks.seed_sets, two_blocks.seed_set_by_key),
    ):
        assert len({point.key for point in points}) == len(points)
        assert all(by_key[point.key] is point for point in points)
        for point in points:
            assert point.key == "/".join(f"{k}={v}" for k, v in point.coordinates.items())


def test_what_a_cell_stands_on():
    cell = Cell("sums", "new_question", "weak", "teacher", 20, 1, "none", 80, "student")
    assert cell.key == (
        "task=sums/method=new_question/augmenter=weak/teacher=teacher/seeds=20/replicate=1"
        "/filter=none/budget=80/student=student"
    )
    assert cell.dataset.key + "/student=student" == cell.key
    assert cell.stream.key + "/filter=none/budget=80" == cell.dataset.key
    assert cell.stream == Stream("sums", "new_question", "weak", "teacher", 20, 1)
    assert cell.question_stream == QuestionStream("sums", "new_question", "weak", 20, 1)
    assert cell.seed_set == cell.question_stream.seed_set == SeedSet("sums", 20, 1)
    assert cell.seed_set.key == "task=sums/seeds=20/replicate=1"
    assert cell.budget_ratio == cell.dataset.budget_ratio == 4
    assert not cell.untrained


def test_answer_augmentation_has_no_question_stream(two_blocks):
    streams = [s for s in two_blocks.streams if s.method == "answer_augmentation"]
    assert len(streams) == 2
    assert all(stream.question_stream is None for stream in streams)
    assert all(stream.augmenter == "none" for stream in streams)
    assert {s.method for s in two_blocks.question_streams} == {"new_question", "question_rephrase"}


def test_baseline(two_blocks):
    baselines = [cell for cell in two_blocks.cells if cell.untrained]
    assert baselines == [untrained_cell("sums", "student")]
    baseline = baselines[0]
    assert baseline.key == (
        "task=sums/method=untrained/augmenter=none/teacher=none/seeds=0/replicate=0"
        "/filter=none/budget=0/student=student"
    )
    assert baseline.dataset is baseline.stream is baseline.question_stream is None
    assert baseline.seed_set is None
    assert baseline.budget_ratio == 0


def test_order_is_by_number_not_by_digit(tmp_path):
    found = make(tmp_path, BLOCK | {"seeds": [9, 100, 20], "methods": ["new_question"]})
    assert [s.seeds for s in found.seed_sets] == [9, 20, 100]
    assert [c.budget for c in found.cells if c.seeds == 9] == [9, 36]


def test_order_of_blocks_does_not_matter(tmp_path, two_blocks):
    assert make(tmp_path, AUGMENTERS, BLOCK).cells == two_blocks.cells


def test_largest_budget_is_over_all_blocks(two_blocks):
    wanted = {
        ("new_question", "teacher", 10): 40,
        ("new_question", "teacher", 20): 100,
        ("new_question", "weak", 20): 100,
        ("question_rephrase", "teacher", 20): 100,
        ("question_rephrase", "weak", 20): 100,
    }
    streams = two_blocks.question_streams
    assert {
        (s.method, s.augmenter, s.seeds): two_blocks.largest_budget(s) for s in streams
    } == wanted
    augmented = Stream("sums", "answer_augmentation", "none", "teacher", 20, 1)
    assert two_blocks.largest_budget(augmented) == 80
    with pytest.raises(KeyError):
        two_blocks.largest_budget(Stream("sums", "answer_augmentation", "none", "teacher", 9, 1))


def test_question_stream_is_shared_by_teachers(tmp_path):
    found = make(tmp_path, BLOCK | {"teachers": ["teacher", "weak"], "methods": ["new_question"]})
    assert len(found.streams) == 4
    assert len(found.question_streams) == 2


def test_budget_ratios_are_taken_as_written():
    assert queries(17.6, 1000) == 17600
    assert queries(0.1, 30) == 3
    assert queries(0.1, 33).denominator != 1


@pytest.mark.parametrize(
    ("budget", "size", "bounds"),
    [
        (1, 32, [(0, 1)]),
        (31, 32, [(0, 31)]),
        (32, 32, [(0, 32)]),
        (33, 32, [(0, 32), (32, 33)]),
        (64, 32, [(0, 32), (32, 64)]),
        (65, 32, [(0, 32), (32, 64), (64, 65)]),
        (300, 32, [(0, 32), (32, 64), (64, 128), (128, 256), (256, 300)]),
        (5, 1, [(0, 1), (1, 2), (2, 4), (4, 5)]),
    ],
)
def test_shards(budget, size, bounds):
    assert ShardBounds((size,)).of(budget) == [Shard(i, *bound) for i, bound in enumerate(bounds)]


@pytest.mark.parametrize(
    ("largest", "bounds"),
    [
        (32, [(0, 32), (32, 64), (64, 96), (96, 128), (128, 150)]),
        (50, [(0, 32), (32, 64), (64, 114), (114, 150)]),
        (1000, [(0, 32), (32, 64), (64, 128), (128, 150)]),
    ],
)
def test_shards_up_to_a_largest_size(largest, bounds):
    assert ShardBounds((32,), largest).of(150) == [
        Shard(i, *bound) for i, bound in enumerate(bounds)
    ]


def test_shards_end_where_purchases_do_and_double_from_there():
    bounds = ShardBounds((6, 32, 180))
    assert bounds.of(500) == [
        Shard(i, *bound)
        for i, bound in enumerate([(0, 6), (6, 32), (32, 180), (180, 360), (360, 500)])
    ]
    assert [bounds.end(index) for index in range(5)] == [6, 32, 180, 360, 720]
    assert bounds.of(20) == [Shard(0, 0, 6), Shard(1, 6, 20)]


@pytest.mark.parametrize(("budget", "size"), [(0, 1), (-1, 1), (1, 0)])
def test_shards_of_nothing_are_refused(budget, size):
    with pytest.raises(ValueError, match="at least 1"):
        ShardBounds((size,)).of(budget)


budgets = st.integers(1, 200_000)
shard_sizes = st.integers(1, 5_000)


@given(budgets, shard_sizes)
def test_shards_cover_the_budget_once_and_in_order(budget, size):
    found = ShardBounds((size,)).of(budget)
    assert found[0].start == 0
    assert found[-1].stop == budget
    assert all(a.stop == b.start for a, b in itertools.pairwise(found))
    assert [shard.index for shard in found] == list(range(len(found)))
    assert sum(len(shard) for shard in found) == budget
    assert all(len(shard) >= 1 for shard in found)


@given(budgets, budgets, shard_sizes)
def test_larger_budget_leaves_all_shards_but_the_last(one, other, size):
    bounds = ShardBounds((size,))
    small, large = bounds.of(min(one, other)), bounds.of(max(one, other))
    assert large[: len(small) - 1] == small[:-1]
    assert large[len(small) - 1].start == small[-1].start


@given(st.integers(0, 12), st.integers(0, 12), shard_sizes)
def test_budgets_at_the_bounds_share_every_shard(one, other, size):
    bounds = ShardBounds((size,))
    small, large = (
        bounds.of(size * 2 ** min(one, other)),
        bounds.of(size * 2 ** max(one, other)),
    )
    assert large[: len(small)] == small


KINDS = ("seed_set", "question_stream", "stream", "dataset", "cell")


@pytest.mark.parametrize("kind", KINDS)
def test_pattern_takes_the_keys_of_its_kind_and_no_other(two_blocks, kind):
    pattern = re.compile(wildcard_pattern(two_blocks, kind))
    assert pattern.groups == 0
    for other in KINDS:
        for point in getattr(two_blocks, f"{other}s"):
            assert bool(pattern.fullmatch(point.key)) == (other == kind)


def test_pattern_refuses_what_the_study_does_not_have(two_blocks):
    pattern = re.compile(wildcard_pattern(two_blocks, "seed_set"))
    assert pattern.fullmatch("task=sums/seeds=10/replicate=1")
    for key in (
        "task=sum/seeds=10/replicate=1",
        "task=sums/seeds=11/replicate=1",
        "task=sums/seeds=10/replicate=2",
        "task=sums/seeds=10/replicate=1/shard=0",
        "task=sums/seeds=10",
    ):
        assert not pattern.fullmatch(key)


def test_pattern_of_trained_cells_leaves_out_the_baseline(two_blocks):
    pattern = re.compile(wildcard_pattern(two_blocks, "trained_cell"))
    for cell in two_blocks.cells:
        assert bool(pattern.fullmatch(cell.key)) != cell.untrained


def test_pattern_takes_names_literally(tmp_path):
    files = sf.bend(sf.FILES, "studies/trial.yaml", ("blocks", 0, "students"), ["a.b-c"])
    files["models/a.b-c.yaml"] = files["models/student.yaml"]
    pattern = wildcard_pattern(grid(load_study("trial", sf.write(tmp_path, files))), "cell")
    key = untrained_cell("sums", "a.b-c").key
    assert re.fullmatch(pattern, key)
    assert not re.fullmatch(pattern, key.replace("a.b-c", "aXb-c"))


def test_pattern_where_there_is_nothing(tmp_path):
    block = {k: v for k, v in BLOCK.items() if k != "augmenters"}
    found = make(tmp_path, block | {"methods": ["answer_augmentation"]})
    assert found.question_streams == ()
    assert not re.match(wildcard_pattern(found, "question_stream"), "")


def test_pattern_of_an_unknown_kind(two_blocks):
    with pytest.raises(ValueError, match="no kind of key 'cells'"):
        wildcard_pattern(two_blocks, "cells")


def test_fifty_thousand_cells_are_fast(tmp_path):
    block = BLOCK | {
        "methods": ["new_question", "question_rephrase"],
        "seeds": [20, 40, 60, 80, 100],
        "budgets": list(range(20, 1020)),
        "students": ["student", "other", "weak", "teacher", "s5"],
    }
    del block["budget_ratios"]
    files = sf.bend(sf.FILES, "studies/trial.yaml", ("blocks",), [block])
    files["models/s5.yaml"] = files["models/student.yaml"]
    study = load_study("trial", sf.write(tmp_path, files))
    start = time.process_time()
    found = grid(study)
    seconds = time.process_time() - start
    assert len(found.cells) == 2 * 5 * 1000 * 5 + 5
    # About half a second on one slow core; the bound only has to catch a quadratic step.
    assert seconds < 5


def test_each_job_reaches_as_far_along_its_stream_as_the_study_needs(tmp_path):
    filters = ["none", "verified_matched"]
    matched = BLOCK | {"methods": ["new_question"], "seeds": [20], "filters": filters}
    plain = matched | {"name": "plain", "filters": ["none"], "budget_ratios": [3, 11]}
    files = sf.bend(sf.FILES, "studies/trial.yaml", ("blocks",), [matched, plain])
    study = load_study("trial", sf.write(tmp_path, files))
    flow = Targets(study, grid(study))
    assert (study.config.shard_size, study.config.verification.reach) == (8, 1.5)
    (stream,) = flow.grid.streams
    # Answers: 11 queries for each of 20 seeds; verified ones: 1.5 times 4 of them.
    at = {"stream": stream.key, "shard": "4"}
    assert (flow.shard(stream.key, 4).start, flow.shard_end(4)) == (64, 128)
    assert flow.stop("answer_questions", at) == flow.stop("check_answers", at) == 128
    assert flow.stop("sample_answers", at) == flow.stop("verify_answers", at) == 120
    assert (flow.stop("answer_questions", at | {"shard": "5"}), flow.shard_end(5)) == (220, 256)
    questions = {"question_stream": stream.question_stream.key, "shard": "2"}
    assert flow.stop("write_questions", questions) == 32
    stops = {
        (dataset.filter, dataset.budget): flow.stop("build_dataset", {"dataset": dataset.key})
        for dataset in flow.grid.datasets
    }
    assert stops["verified_matched", 80] == 120 and stops["none", 80] == 80
    assert flow.stop("train_student", {}) is None
