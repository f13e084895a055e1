rule report:
    input:
        PLAN.table_files(),
    output:
        PLAN.folder / "report.html",
    log:
        PLAN.folder / "log" / "report.txt",
    params:
        rs=command,
        spec=lambda w: PLAN.described + PLAN.summary,
        lineage=lambda w: PLAN.tables_lineage,
        code=lambda w: PLAN.code("report"),
        template=lambda w: file_digest(Path(workflow.basedir) / "rs" / "report.html"),
        study=lambda w, output: FILES,
        overrides=lambda w, output: json.dumps(OVERRIDES),
    shell:
        "{params.rs} report --worker {log} --study {params.study:q} --overrides {params.overrides:q}"
