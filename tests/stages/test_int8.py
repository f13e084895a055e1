"""A run that votes in int8: calibrated once under each noise, told in its files, merged with no other."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_study import TINY, Workspace, write_study

from rs.cli.main import main
from rs.errors import UserError
from rs.networks import audit as network_audit
from rs.networks import openvino_program as programs
from rs.networks.forms import fixed
from rs.networks.images import load_images
from rs.networks.openvino_form import DIFFERING, OpenVinoForm, for_noise, made_here
from rs.networks.openvino_program import unpacked
from rs.plan.plan import Plan
from rs.plan.work import work_of
from rs.provenance.files import read_json, read_table, write_json, write_table
from rs.settings.sampling import requested_form
from rs.stages.draw_files import merge, read_votes
from rs.study.study import Study

pytest.importorskip("openvino", reason="OpenVINO is not installed")
pytest.importorskip("nncf", reason="nncf is not installed")

FORM = {"precision": "int8", "batch": 32, "compiled": True}
CPU = torch.device("cpu")
NOISES = [{"name": "gaussian", "sigma": 0.25}, {"name": "gaussian", "sigma": 0.5}]


def int8_study(**sampling):
    study = copy.deepcopy(TINY)
    study["sampling"] |= {"precision": "int8", **sampling}
    study["smoothing"] = copy.deepcopy(NOISES)
    del study["runs"]["nal"]
    return study


def test_forms_asked_for():
    """OpenVINO always compiles, int8 needs no engine, and what torch runs has the form that it always had."""
    torch_form = {"precision": "bfloat16", "batch": 64, "compiled": False}
    assert requested_form({**torch_form, "engine": "torch", "n": 7}) == torch_form
    by_openvino = {**torch_form, "compiled": True, "engine": "openvino"}
    assert requested_form({**torch_form, "engine": "openvino"}) == by_openvino == requested_form(by_openvino)
    for engine in ("torch", "openvino"):
        assert requested_form({**torch_form, "precision": "int8", "engine": engine}) == {**FORM, "batch": 64}


def test_every_noise_has_a_form_of_its_own(plan_of):
    plan = plan_of(int8_study())
    (run,) = plan.runs
    forms = [plan.job("form", str(found.form)) for found in run.observations]
    assert [job.spec for job in forms] == [{**FORM, "noise": noise} for noise in NOISES]
    for found, noise in zip(run.observations, NOISES, strict=True):
        drawn = plan.job("certify", str(found.certified)).reads()
        jobs = [plan.job("sample", str(path)) for path in drawn]
        assert {job.inputs["form"] for job in jobs} == {found.form}
        assert all(job.spec["noise"] == noise for job in jobs)
        assert {w.network.name for job in jobs for w in work_of(plan, job)} == {"digits_cnn, int8, OpenVINO"}
    (other,) = plan_of(int8_study(precision="bfloat16", engine="openvino")).runs
    assert len({found.form for found in other.observations}) == 1  # it is calibrated on nothing


def test_a_gpu_is_refused_before_anything_runs(refusal):
    message = refusal(int8_study(device="cuda"))
    assert "sampling.device: cuda: precision: int8 votes on processors; must be cpu or auto" in message
    message = refusal(int8_study(device="cuda", precision="float32", engine="openvino"))
    assert "cuda: engine: openvino votes on processors" in message


@pytest.fixture(scope="module")
def voted(tmp_path_factory):
    """All stages have run but the tables."""
    if not programs.sums_bytes():
        pytest.skip("this processor has no VNNI")
    folder = tmp_path_factory.mktemp("int8")
    study = int8_study()
    made = Workspace(folder, Plan(Study([write_study(folder / "study.yaml", study)])))
    for stage in ("data", "train", "form", "sample", "certify", "attack"):
        for job in made.plan.jobs[stage].values():
            made.run(job)
    return made


@pytest.mark.slow
def test_files_say_how_int8_was_calibrated_and_which_program_voted(voted):
    for found in voted.plan.runs[0].observations:
        form = read_json(voted.path(found.form))
        calibration = {"images": 256, "of": "train", "noise": found.noise, "seed": 0}
        assert form["program"]["calibration"] == {
            **calibration,
            "range": "histogram",
            "bias_correction": False,
        }
        assert form["form"] == FORM
        made = read_table(voted.path(found.certified))[1]
        assert made["form"] == {**FORM, "program": form["program"]["sha256"][:16], "device": "cpu"}
        attacked = read_table(voted.path(found.attacks[0]))[1]
        assert attacked["form"]["program"] == made["form"]["program"]
    first, second = (
        read_json(voted.path(o.form))["program"]["sha256"] for o in voted.plan.runs[0].observations
    )
    assert first != second


@pytest.mark.slow
def test_int8_is_judged_under_the_noise_of_its_votes(voted):
    """Not on the probes of every form, which a network may not know: here they are nothing but loud noise."""
    found = voted.plan.runs[0].observations[1]
    job, data = voted.plan.job("form", str(found.form)), voted.path(voted.plan.data_manifest)
    known = network_audit.load(voted.path(job.inputs["model"]), data, CPU)
    draws = torch.Generator().manual_seed(0)
    loud = replace(known, probes=1e3 * torch.randn(known.probes.shape, generator=draws))
    given = for_noise(loud, FORM, found.noise, data)
    x, _ = load_images(data, "test", [i * 360 // 32 for i in range(32)])
    apart = given.probes.unflatten(0, (32, 4)) - x[:, None]
    assert bool((apart[:, 0] == 0).all())
    assert 0.48 < float(apart[:, 1:].std()) < 0.52
    assert len(given.probes.flatten(1).unique(dim=0)) == 128
    assert for_noise(loud, {**FORM, "precision": "bfloat16"}, found.noise, data) is loud

    file = voted.path(found.form)
    settings = {**FORM, "noise": found.noise}
    with pytest.raises(UserError, match="of its votes are not the network's"):
        OpenVinoForm(loud, FORM, CPU, unpacked(read_json(file)["program"], file))
    for form in (fixed(loud, settings, file, data, CPU), made_here(loud, FORM, found.noise, data, CPU)):
        assert form.compared["probes"] == 128
        assert form.compared["differing_votes"] < 0.1


@pytest.mark.slow
def test_votes_are_the_same_in_every_process_and_shard(voted):
    """Of a job that runs again, alone; all 6 images in one shard instead of two."""
    certify = voted.plan.job("certify", str(voted.plan.runs[0].observations[0].certified))
    files = [voted.path(path) for path in certify.reads()]
    before = {}
    for path in files:
        images, _, votes, made = read_votes(path)
        before |= {
            (made["spec"]["purpose"], made["spec"]["block"], i): v
            for i, v in zip(images, votes.counts, strict=True)
        }
    for path in certify.reads():
        job = voted.plan.job("sample", str(path))
        if job.spec["images"] != [0, 4, 1]:
            continue
        together = {**job.spec, "images": [0, 6, 1]}
        name = path.name.replace("0-4-1", "0-6-1")
        other = voted.folder / "other" / path.parent.name / name
        voted.run(job, spec=together, outputs={"draws": str(other)})
        images, _, votes, made = read_votes(other)
        for image, counts in zip(images, votes.counts, strict=True):
            assert np.array_equal(counts, before[made["spec"]["purpose"], made["spec"]["block"], image])


@pytest.mark.slow
def test_votes_with_other_scales_never_merge(voted, tmp_path):
    certify = voted.plan.job("certify", str(voted.plan.runs[0].observations[0].certified))
    files = [voted.path(path) for path in certify.reads()]
    chosen = [
        [p for p in files if p.parent.name.startswith(kind) and "0-4-1" in p.name] for kind in ("sel", "est")
    ]
    (select,), blocks = chosen
    uniform = np.full(4, 0.5)
    assert len(merge([select], [blocks], np.arange(4), uniform)) == 4
    table, made = read_table(blocks[1])
    made["form"]["program"] = "0" * 16
    other = blocks[1].with_name("other.parquet")
    write_table(other, table, made)
    with pytest.raises(UserError, match="different smoothed classifiers"):
        merge([select], [[blocks[0], other]], np.arange(4), uniform)
    other.unlink()


@pytest.mark.slow
def test_a_job_without_its_form_s_program_is_refused(voted):
    found = voted.plan.runs[0].observations[0]
    place, job = voted.path(found.form), voted.job("sample")
    kept = place.read_bytes()
    manifest = read_json(place)
    try:
        write_json(place, {k: v for k, v in manifest.items() if k not in ("program", "checksum")})
        with pytest.raises(UserError, match="holds no whole program; remove it and run the form stage again"):
            voted.run(job, outputs={"draws": str(voted.folder / "elsewhere.parquet")})
    finally:
        place.write_bytes(kept)


@pytest.mark.slow
def test_precision_compares_int8_with_float32_on_the_same_noise(voted, monkeypatch, capsys):
    monkeypatch.chdir(voted.folder)
    command = ["precision", "--study", "study.yaml", "--images", "3", "--n", "64"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert output.count("smoothing noise") == 2
    assert "cohen        int8 " in output
    assert "cohen        float32" in output
    assert "at r = none; not shown at r = 0" in output  # three images show nothing
    assert main([*command, "--precision", "bfloat16"]) == 0
    assert "cohen        bfloat16" in capsys.readouterr().out


@pytest.mark.slow
def test_precision_measures_what_a_run_would_refuse(voted, monkeypatch, capsys):
    monkeypatch.chdir(voted.folder)
    command = ["precision", "--study", "study.yaml", "--images", "2", "--n", "32"]
    assert main(command) == 0
    assert "refuses" not in capsys.readouterr().out
    monkeypatch.setitem(DIFFERING, "int8", -0.01)
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "cohen        int8 " in output
    assert "a run refuses this form: " in output
