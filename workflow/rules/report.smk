rule report:
    input:
        PLAN.table_files(),
    output:
        PLAN.folder / "report.html",
    log:
        PLAN.folder / "log" / "report.txt",
    params:
        spec=lambda w: PLAN.described,
        code=lambda w: PLAN.code("rs.report", "rs.figures"),
        study=lambda w, output: FILES,
        overrides=lambda w, output: json.dumps(OVERRIDES),
    shell:
        "{RUN} report --worker {log} --study {params.study:q} --overrides {params.overrides:q}"
