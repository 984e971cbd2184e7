"""Records that go between scripts: what is written is read again, and so is what came before."""

import json

import pytest

from seedbed.evaluation.record import EvaluationRecord
from seedbed.models import ModelRecord
from seedbed.run.contents import content_digest
from seedbed.streams.record import DatasetCounts, DatasetRecord
from seedbed.tasks.record import TaskRecord
from seedbed.training.record import TrainingRecord

SCORE = {"correct": 1, "accuracy": 0.5}
EVALUATION = {
    **SCORE,
    "cell": {"task": "t", "seeds": 8},
    "items": 2,
    "strict": SCORE,
    "flexible": SCORE,
    "unparsed": 0,
    "truncated": 0,
}
BEFORE = [
    (DatasetRecord, {"counts": {"rows": 3}, "seconds": {"generation": 2}}),
    (TrainingRecord, {"counts": {"steps": 2}, "seconds": {"training": 1.5}, "model": "m"}),
    (EvaluationRecord, EVALUATION),
    (ModelRecord, {"fingerprint": "f", "hub": None, "code": "c", "versions": {"python": "3"}}),
    (TaskRecord, {"source": {"hub": "a/b", "files": [1, None]}, "counts": {"train_items": 1}}),
]
"""Records of versions that did not write `format`, nor all of today's keys."""


@pytest.mark.parametrize(("kind", "content"), BEFORE)
def test_a_record_of_an_earlier_version_is_read_and_written_as_it_was(tmp_path, kind, content):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content))
    kind.read(path).write(path)
    assert json.loads(path.read_text()) == content | {"format": 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "format 2"),
        ({"acuracy": 0.5}, "acuracy"),
        ({"accuracy": "0.5"}, "accuracy"),
        ({"unparsed": 3}, "unparsed is 3"),
        ({"strict": {"correct": 2, "accuracy": 0.5}}, "strict"),
    ],
)
def test_a_record_with_another_content_is_refused_naming_file_and_key(tmp_path, changes, words):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(EVALUATION | changes))
    with pytest.raises(ValueError, match=words) as error:
        EvaluationRecord.read(path)
    assert str(path) in str(error.value)


def test_only_what_later_jobs_read_of_a_record_is_its_content(tmp_path):
    path = tmp_path / "dataset.json"
    digests = []
    for rows, code in ((3, "1"), (3, "2"), (4, "2")):
        DatasetRecord(counts=DatasetCounts(rows=rows), code=code).write(path)
        digests.append(content_digest(path))
    assert digests[0] == digests[1] != digests[2]
