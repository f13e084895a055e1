CERTIFIED = "results/runs/{run}/certified/{certified}.parquet"


rule certify:
    input:
        reads("certify", CERTIFIED),
        model=ancient(MODEL),
    output:
        CERTIFIED,
    log:
        "results/runs/{run}/log/certify-{certified}.txt",
    params:
        rs=command,
        spec=spec("certify", CERTIFIED),
        code=code("certify", CERTIFIED),
        job=whole("certify", CERTIFIED),
    shell:  # on standard input: the names of 10,000 shards exceed a command line
        "{params.rs} certify --worker {log} --job - <<'JOB'\n{params.job}\nJOB"
