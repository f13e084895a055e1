"""A run keeps the shards in which it was drawn, whatever size a study says since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rs.errors import UserError
from rs.plan import shard_sizes
from rs.plan.draw_paths import draw_file
from rs.plan.plan import Plan
from rs.provenance.files import read_json, write_json, write_text
from rs.settings.images import Subset


@pytest.fixture
def study(tiny, tmp_path, monkeypatch):
    """360 digits in eight shards of 50, the last one of 10, and 64 votes in blocks of 32."""
    monkeypatch.chdir(tmp_path)
    tiny |= {"test": {}, "attacks": []}
    tiny["sampling"]["images_per_shard"] = 50
    tiny["runs"] = {"gaussian": tiny["runs"]["gaussian"]}
    return tiny


def files(plan):
    return set(plan.jobs["sample"])


def certify(plan):
    (job,) = plan.jobs["certify"].values()
    return job.reads()


def draw(plan, count=None):
    for path in sorted(files(plan))[:count]:
        write_text(Path(path), "votes")


def of(study, plan_of, images):
    study["sampling"]["images_per_shard"] = images
    return plan_of(study)


def test_draws_that_are_there_are_what_another_size_asks_for(study, plan_of):
    before = plan_of(study)
    assert files(of(study, plan_of, 100)) != files(before), "of nothing drawn the study says"
    draw(before, 1)
    for images in (100, 7, 40):
        later = of(study, plan_of, images)
        assert files(later) == files(before)
        assert certify(later) == certify(before), "nothing that was made from them is stale"
    shutil.rmtree("results")
    draw(of(study, plan_of, 40))
    del study["sampling"]["images_per_shard"]
    assert len(files(plan_of(study))) == 9 * 3


def test_another_form_or_noise_is_free_to_take_another_size(study, plan_of):
    draw(plan_of(study))
    study["sampling"] |= {"precision": "bfloat16", "images_per_shard": 100}
    assert {path.split("/")[-1].split("_")[0] for path in files(plan_of(study))} == {
        *("0-100-1", "100-200-1", "200-300-1", "300-360-1")
    }


def test_more_votes_and_images_are_drawn_in_the_shards_that_are_there(study, plan_of):
    study["test"] = {"max": 90}
    draw(plan_of(study))
    study |= {"test": {}, "sampling": {**study["sampling"], "n": 96, "images_per_shard": 100}}
    plan = plan_of(study)
    ranges = {path.split("/")[-1].split("_")[0] for path in files(plan)}
    assert "50-100-1" in ranges
    assert len(ranges) == 8
    assert len(files(plan)) == 8 * 4


def test_what_differs_is_told_and_written_down(study, plan_of):
    draw(before := plan_of(study))
    assert shard_sizes.settle(before) == []
    assert not [*Path("results").rglob(shard_sizes.RECORD)]
    later = of(study, plan_of, 100)
    folder = Path(next(iter(files(later)))).parent.parent
    sentence = "gaussian seed 0, gaussian-0p25: drawn in shards of 50 images, which are kept; sampling."
    sentence += "images_per_shard: 100 applies to new draws"
    assert shard_sizes.settle(later) == [f"{sentence} (to draw again, remove {folder})"]
    record = folder / shard_sizes.RECORD
    written = record.stat().st_mtime_ns
    shard_sizes.settle(of(study, plan_of, 100))
    assert record.stat().st_mtime_ns == written, "once"
    for path in files(later):  # as Snakemake does before it draws them all anew
        Path(path).unlink()
    assert files(of(study, plan_of, 100)) == files(before), "a node that parses now plans the same"
    assert files(of(study, plan_of, 40)) != files(before), "whoever says another size now is heard"
    shutil.rmtree(folder)
    assert files(of(study, plan_of, 100)) != files(before)


def test_a_record_that_is_none_is_one_line(study, plan_of):
    draw(plan_of(study))
    later = of(study, plan_of, 100)
    shard_sizes.settle(later)
    record = next(Path("results").rglob(shard_sizes.RECORD))
    for path in files(later):
        Path(path).unlink()
    typed = {"images_per_shard": 5, "stated": 100}
    sealed = [(write_json, {**typed, "images_per_shard": size}, f"is {size}; allowed") for size in (0, True)]
    for write, content, reason in (
        *sealed,
        (Path.write_text, "{", "not a complete JSON"),
        (Path.write_text, json.dumps(typed), "has no checksum"),
        (Path.write_text, json.dumps([5]), "is None; allowed"),
    ):
        write(record, content)
        with pytest.raises(UserError, match=reason) as caught:
            plan_of(study)
        assert str(caught.value).startswith(f"{record}: ")
        assert "\n" not in str(caught.value)


def test_draws_count_before_a_record(study, plan_of):
    """And what is planned from them puts the record right, whatever it is."""
    draw(before := plan_of(study))
    folder = Path(next(iter(files(before)))).parent.parent
    record = folder / shard_sizes.RECORD
    for text in ("{", None):
        write_json(record, {"images_per_shard": 20, "stated": 50})
        if text:
            record.write_text(text)
        assert files(plan := plan_of(study)) == files(before)
        assert shard_sizes.settle(plan) == []
        assert not record.exists(), "the study's own size needs none"
    write_json(record, {"images_per_shard": 20, "stated": 100})
    assert files(plan := of(study, plan_of, 100)) == files(before)
    assert shard_sizes.settle(plan) == shard_sizes.sentences(plan) != []
    assert read_json(record)["images_per_shard"] == 50
    for purpose in {Path(path).parent for path in files(before)}:
        shutil.rmtree(purpose)
    assert files(of(study, plan_of, 100)) != files(before), "draws that are gone with their folders"


def test_a_folder_that_cannot_be_read_is_one_line(study, plan_of, monkeypatch):
    draw(plan_of(study))

    def refused(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(shard_sizes.os, "scandir", refused)
    with pytest.raises(UserError, match=r"^results/runs/.*: cannot be read: Permission denied; ") as caught:
        plan_of(study)
    assert "\n" not in str(caught.value)


def test_runs_that_share_draws_have_one_size(study, plan_of):
    """Else the second one would find the first one's files, and plan others than before."""
    few = {**study["runs"]["gaussian"], "sampling": {"n": 32, "images_per_shard": 100}}
    study["runs"]["few"] = few
    before = plan_of(study)
    assert len({Path(path).parent.parent for path in files(before)}) == 1
    assert len(files(before)) == 8 * 3
    draw(before, 1)
    assert files(plan_of(study)) == files(before)
    study["runs"] = {"few": few, "gaussian": study["runs"]["gaussian"]}
    assert files(plan_of(study)) == files(before)


def test_studies_that_are_planned_together_share_shards_before_any_draw(study, plan_of):
    first = plan_of(study)
    plan_of(study)  # another file of the same text
    alone, kept = of(study, plan_of, 100), first.observer.kept
    assert files(alone) != files(first)
    assert files(Plan(alone.study, kept)) == files(first)
    study["test"] = {"skip": 2}
    other = plan_of(study)
    assert files(Plan(other.study, kept)) == files(other), "of other images nothing is shared"


def test_a_run_that_starts_from_another_follows_its_shards(study, plan_of):
    first = study["runs"]["gaussian"]
    study["certificates"] = [{"name": "cohen", "alpha": 0.001}]
    stopped = {"mode": "sequential", "stop": {"radii": [0.0]}, "source": "first", "precision": "bfloat16"}
    study["runs"] = {
        "first": {**first, "sampling": {"answers": 64}},
        "second": {**first, "sampling": stopped, "certificates": [{"name": "incremental", "alpha": 0.1}]},
    }
    before = plan_of(study)
    answered = [path for path in files(before) if "/answered-32/" in path]
    assert len(answered) == 16
    write_text(Path(min(answered)), "answers")
    assert files(of(study, plan_of, 100)) == files(before)
    Path(min(answered)).unlink()
    write_text(Path(next(path for path in answered if "350-360" in path)), "answers of the last ones")
    assert len(files(of(study, plan_of, 100))) == 6 * 5, "six shards of 70"


# --- names of files ---

SIZE = 297


def names(folder: Path, *shards: str) -> Path:
    for shard in shards:
        write_text(draw_file(folder, "select", 16, shard, 0), "votes")
    return folder


def images(folder: Path, stated: int, **subset: int) -> int:
    return shard_sizes.shards_of(folder, "run", stated, Subset(**subset), SIZE).images


def test_of_draws_in_several_sizes_that_of_most_images_counts_of_as_many_the_studys(tmp_path):
    folder = names(tmp_path / "most", "0-40-1", "40-80-1", "0-100-1")
    assert [images(folder, stated) for stated in (100, 40, 50)] == [100, 100, 100]
    folder = names(tmp_path / "stray", *(f"{k}-{k + 30}-1" for k in range(0, 240, 30)), "0-50-1")
    assert [images(folder, stated) for stated in (30, 50, 20)] == [30, 30, 30]
    folder = names(tmp_path / "last", "0-297-1", "0-40-1")
    assert [images(folder, stated) for stated in (40, 297, 20)] == [297, 297, 297]
    folder = names(tmp_path / "alike", "0-50-1", "50-100-1", "0-100-1")
    assert [images(folder, stated) for stated in (50, 100, 60, 90)] == [50, 100, 50, 100]


def test_the_last_file_of_a_split_may_be_short(tmp_path):
    last = names(tmp_path / "last", "280-297-1")
    assert images(last, 40) == 40, "280 is a multiple"
    assert images(last, 20) == 20
    assert images(last, 10) == 20, "the least in which 17 images from 280 on are the last shard"
    assert images(last, 100) == 70
    assert images(names(tmp_path / "both", "280-297-1", "0-70-1"), 40) == 70
    whole = names(tmp_path / "whole", "0-297-1")
    assert (images(whole, 500), images(whole, 50)) == (500, 297)


def test_files_of_another_subset_or_kind_say_nothing(tmp_path):
    folder = names(tmp_path, "0-80-2", "5-45-1", "mine", "0-0-1", "0-40-0")
    assert images(folder, 50) == 50
    assert images(folder, 50, skip=2) == 40
    assert images(folder, 50, first=5) == 40
    assert images(tmp_path / "nothing", 50) == 50
