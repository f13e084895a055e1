CERTIFIED = "results/runs/{run}/certified/{certified}.parquet"


rule certify:
    input:
        lambda w: PLAN.draw_files(job("certify", CERTIFIED)(w)),
    output:
        CERTIFIED,
    log:
        "results/runs/{run}/log/certify-{certified}.txt",
    params:
        rs=command,
        spec=spec("certify", CERTIFIED),
        code=code("certify", CERTIFIED),
        job=whole("certify", CERTIFIED),
    shell:
        "{params.rs} certify --worker {log} --job {params.job:q}"
