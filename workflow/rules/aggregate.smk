rule aggregate:
    input:
        PLAN.aggregated_files(),
    output:
        [
            report(
                path, caption="../captions/table.rst", category="Tables", labels={"table": path.stem}
            )
            for path in PLAN.table_files()
        ],
    log:
        PLAN.folder / "log" / "aggregate.txt",
    params:
        rs=command,
        spec=lambda w: PLAN.summary,
        lineage=lambda w: PLAN.tables_lineage,
        code=lambda w: PLAN.code("aggregate"),
        study=lambda w, output: FILES,
        overrides=lambda w, output: json.dumps(OVERRIDES),
    shell:
        "{params.rs} aggregate --worker {log} --study {params.study:q} --overrides {params.overrides:q}"


rule track:
    input:
        PLAN.table_files(),
        PLAN.folder / "report.html",
    output:
        PLAN.folder / "mlflow.json",
    log:
        PLAN.folder / "log" / "track.txt",
    params:
        rs=command,
        uri=lambda w: PLAN.study.tracking["uri"],
        spec=lambda w: PLAN.described,
        lineage=lambda w: PLAN.tables_lineage,
        code=lambda w: PLAN.code("track"),
        study=lambda w, output: FILES,
        overrides=lambda w, output: json.dumps(OVERRIDES),
    shell:
        "{params.rs} track --worker {log} --study {params.study:q} --overrides {params.overrides:q}"
