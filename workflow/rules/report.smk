from rs.plan import staleness


rule report:
    input:
        PLAN.table_files(),
    output:
        report(
            PLAN.folder / "report.html",
            caption="../captions/page.rst",
            category="Study",
            labels={"what": "the whole page"},
        ),
        report(
            directory(PLAN.folder / "figures"),
            patterns=["{figure}.png"],
            caption="../captions/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        PLAN.folder / "log" / "report.txt",
    params:
        rs=command,
        spec=lambda w: PLAN.described,
        lineage=lambda w: PLAN.tables_lineage,
        code=lambda w: PLAN.code("report"),
        template=lambda w: staleness.page_parts(),
        study=lambda w, output: FILES,
        overrides=lambda w, output: json.dumps(OVERRIDES),
    shell:
        "{params.rs} report --worker {log} --study {params.study:q} --overrides {params.overrides:q}"
