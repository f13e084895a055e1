"""Whether finished files are what their jobs would make now, judged by what the files record. No torch.

Snakemake judges by its records in .snakemake/. Results that came without them (copied, synced, unpacked) have
only times, which mean nothing then. But each file holds the digests of its spec, its code and its inputs. If
all equal those of the plan, the file is current. If one differs, the file is stale, and its time is set so
that Snakemake sees this.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs.errors import UserError
from rs.plan import file_times
from rs.plan.file_times import BEFORE_ALL, CLOCKS_DIFFER
from rs.plan.records import place, record_other_code
from rs.provenance import checksums
from rs.provenance.accepted_code import counts_as
from rs.provenance.digests import digest, file_digest
from rs.provenance.files import read_json, read_provenance
from rs.provenance.reading import read_bytes

if TYPE_CHECKING:
    from rs.plan.jobs import Job
    from rs.plan.plan import Plan

REPORT = Path(__file__).parents[1] / "report"
MADE = "<!-- rs "  # begins the last line of a page, which records what it was made from


def inputs_digest(paths: Iterable[Path], *more: str) -> str:
    """Digest of files by content and of the texts `more`. A missing file counts as empty."""
    return digest([*((str(path), _content(path)) for path in paths), *more], 16)


def _content(path: Path) -> str:
    """A file's digest. Of a manifest the provenance does not count, nor the folder of images that are read
    while jobs run: the digests of its tensors hold their names and sizes.
    """
    if not path.is_file():
        return ""
    if path.suffix == ".json":
        stored = read_json(path)
        if isinstance(stored, dict):
            counted = {k: v for k, v in stored.items() if k not in ("provenance", checksums.KEY)}
            if isinstance(splits := counted.get("splits"), dict):
                counted["splits"] = {name: _anywhere(split) for name, split in splits.items()}
            return digest(counted, 64)
    return file_digest(path)


def _anywhere(split: Any) -> Any:
    """A split's entry in a data manifest without the folder of its images."""
    streamed = split.get("streamed") if isinstance(split, dict) else None
    if not isinstance(streamed, dict):
        return split
    return {**split, "streamed": {key: value for key, value in streamed.items() if key != "folder"}}


def table_inputs(plan: Plan) -> str:
    """Digest of the inputs of a study's tables."""
    return inputs_digest(plan.aggregated_files(), plan.summary)


def page_inputs(plan: Plan) -> str:
    """Digest of the inputs of a study's page and of its MLflow runs."""
    return inputs_digest(plan.table_files(), plan.described, page_parts())


@functools.cache
def page_parts() -> str:
    """Digest of the parts of a page beside code: template, style and scripts."""
    parts = sorted(part for part in REPORT.rglob("*") if part.suffix in (".html", ".css", ".js"))
    return digest([file_digest(part) for part in parts], 64)


def page_line(plan: Plan) -> str:
    """The last line of a study's page: what the page was made from."""
    return f"{MADE}{digest('report.html')} {plan.code('report')} {page_inputs(plan)} -->"


def provenance_of(path: Path) -> dict[str, Any]:
    """What a finished file records of its making. Raises UserError for a damaged file."""
    if path.suffix == ".parquet":
        return read_provenance(path)
    if path.suffix == ".html":
        line = read_bytes(path).decode(errors="replace").rstrip().rpartition("\n")[2]
        words = line.removeprefix(MADE).split() if line.startswith(MADE) else []
        return dict(zip(("spec_digest", "code_digest", "inputs"), words, strict=False))
    stored = read_json(path)
    provenance = stored.get("provenance") if isinstance(stored, dict) else None
    return provenance if isinstance(provenance, dict) else {}


def is_current(path: Path, spec: Any, code: str, inputs: str) -> bool:
    """Whether a file was made from this spec, this code (or code accepted as equal) and these inputs.

    For files of a version that did not record its inputs, the inputs count as equal.
    """
    provenance = provenance_of(path)
    made_by = provenance.get("code_digest")
    same = provenance.get("spec_digest") == digest(spec) and code in counts_as(path, str(made_by))
    return same and provenance.get("inputs", inputs) == inputs


def job_is_current(job: Job) -> bool:
    """Whether all outputs of a job exist and the first one records that this job made it."""
    if not all(path.is_file() for path in job.outputs.values()):
        return False
    return is_current(job.target, job.spec, job.code, inputs_digest(job.reads()))


def settle(plan: Plan) -> list[str]:
    """Makes the times of finished files that Snakemake would misjudge agree with what the files record.

    It has no record of some; some were written after theirs, or read a manifest that was written again since.
    Files dated after now are dated to now. Returns a line per damaged file, which is left as it is.
    A study that its MLflow store did not take is logged again, and so is one whose store is gone or is now
    another one.
    """
    from rs.plan import logged  # reads studies, which a job does without

    damaged: dict[str, None] = {}
    for outputs, inputs, recipe in _in_order(plan):
        if any(map(file_times.is_ahead, outputs)):
            file_times.set_to(outputs, None)
        if not all(path.exists() for path in outputs):
            continue
        without_data = plan.data_manifest in inputs and not plan.data_manifest.exists()
        if all(map(_as_recorded, outputs)) and not without_data and not _rewritten(inputs, outputs):
            continue
        try:
            current = is_current(outputs[0], *recipe())
        except UserError as error:
            damaged[str(error)] = None
            continue
        if inputs or current:  # what reads no file is stale by its record alone
            judge_by_content(outputs)
        if current:
            since = file_times.oldest(outputs)
            if since == BEFORE_ALL or file_times.newest(inputs) > since:
                file_times.set_to(outputs, None)
            continue
        file_times.set_to(outputs, BEFORE_ALL)
        if without_data and not any(path.exists() for path in inputs):
            record_other_code(outputs)
        elif not inputs:  # no time can make it stale
            print(f"rs: {outputs[0]}: made by other code; remove it to have it made again", file=sys.stderr)
    with contextlib.suppress(UserError):
        if logged.unlogged(plan):
            forget([logged.record_file(plan)])
    return list(damaged)


def _as_recorded(path: Path) -> bool:
    """Whether Snakemake has a record of making a file, and nothing has written the file since: no stage by
    hand, no slice, no copy. A file that was found stale is looked at again: its code may be back.
    """
    try:
        dated = file_times.of_input(path)
        return place(path).stat().st_mtime >= dated - CLOCKS_DIFFER and dated != BEFORE_ALL
    except OSError:
        return False


def _inputs_of(job: Job) -> str:
    """The digest of what a finished job has read. Where some of it stayed behind and cannot be compared, that
    which the job's file records, unless the file was made with another network than the one that is here.
    """
    read, model = job.reads(), job.inputs.get("model")
    if all(path.exists() for path in read):
        return inputs_digest(read)
    recorded = provenance_of(job.target)
    if model in read and model.is_file():
        network = read_json(model)
        if not isinstance(network, dict) or recorded.get("model") not in (None, network.get("sha256")):
            return inputs_digest(read)
    digested = recorded.get("inputs")
    return digested if isinstance(digested, str) else inputs_digest(read)


def _rewritten(inputs: list[Path], outputs: list[Path]) -> bool:
    """Whether a manifest among the inputs is newer than the outputs. Snakemake compares all its bytes, but
    the same data prepared again, by a colleague, say, differ in when and how long it took.
    """
    manifests = [path for path in inputs if path.suffix == ".json"]
    return bool(manifests) and file_times.newest(manifests) > file_times.oldest(outputs)


Made = tuple[Any, str, str]  # spec, code, inputs


def _in_order(plan: Plan) -> Iterator[tuple[list[Path], list[Path], Callable[[], Made]]]:
    """Outputs, inputs and what they are made from, of every job and then of the study's own files."""
    for job in in_order(plan):
        yield list(job.outputs.values()), job.reads(), lambda: (job.spec, job.code, _inputs_of(job))  # noqa: B023
    code, aggregated = plan.code("aggregate"), plan.aggregated_files()
    for path in plan.table_files():
        spec = {"study": plan.study.name, "table": path.stem}
        yield [path], aggregated, lambda: (spec, code, table_inputs(plan))  # noqa: B023
    page, tracked = plan.folder / "report.html", plan.folder / "mlflow.json"
    tables = plan.table_files()
    drawn = [page, plan.folder / "figures"]
    yield drawn, tables, lambda: (page.name, plan.code("report"), page_inputs(plan))
    yield [tracked], [*tables, page], lambda: (tracked.name, plan.code("track"), page_inputs(plan))


def in_order(plan: Plan) -> Iterator[Job]:
    """All jobs, each after the jobs whose outputs it reads, sorted by the number of steps before them."""
    makers = plan.makers()
    steps: dict[str, int] = {}

    def step(job: Job) -> int:
        target = str(job.target)
        if target not in steps:
            above = {id(m): m for path in job.reads() if (m := makers.get(path)) is not None}
            steps[target] = 1 + max(map(step, above.values()), default=0)
        return steps[target]

    yield from sorted(plan.all_jobs(), key=step)


def forget(paths: Iterable[Path]) -> None:
    """Makes finished files stale, as far as they are writable."""
    for path in paths:
        judge_by_content([path])
        file_times.set_to([path], BEFORE_ALL)


def judge_by_content(paths: Iterable[Path]) -> None:
    """Removes Snakemake's records of finished files, as far as they are writable."""
    for path in paths:
        with contextlib.suppress(OSError):
            place(path).unlink(missing_ok=True)
