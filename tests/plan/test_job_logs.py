"""The log of a job is that of its rule, and no other job has it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from rs.cli.slice_queue import jobs_of, read_queue
from rs.plan.jobs import Job
from rs.plan.stages import STAGES

CHECKOUT = Path(__file__).parents[2]


def test_a_job_has_the_log_of_its_rule():
    text = "\n".join(path.read_text() for path in (CHECKOUT / "workflow" / "rules").glob("*.smk"))
    names = dict(re.findall(r'^(\w+) = "(.*)"$', text, re.MULTILINE))
    rules = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)
    bodies = dict(zip(rules[1::2], rules[2::2], strict=True))
    for stage in STAGES.values():
        body = bodies[stage.rule]
        output = re.search(r'    output:\n\s+(?:\w+=)?"?([^",\n]+)', body)
        log = re.search(r'    log:\n\s+"(.+)"', body)
        assert output is not None
        assert log is not None
        pattern = names.get(output[1], output[1])
        wildcards = {name: f"{name}-0p5" for name in re.findall(r"{(\w+)}", pattern)}
        job = Job(stage.name, {}, (), outputs={"first": Path(pattern.format(**wildcards))})
        assert job.log == Path(log[1].format(**wildcards))


def test_no_two_jobs_of_the_shipped_queue_share_a_log():
    with contextlib.chdir(CHECKOUT):
        jobs = jobs_of(read_queue(Path("config/gpu/queue.yaml")))
    logs = [waiting.job.log for waiting in jobs]
    assert sum(waiting.job.stage == "train" for waiting in jobs) > 50
    assert len(logs) == len(set(logs))
