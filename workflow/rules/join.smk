# Joins the networks of other runs, one after another, instead of training a network.
rule join:
    input:
        data=prepared("join", MODEL),
        parts=named("join", MODEL, "parts"),
        weights=ancient(named("join", MODEL, "weights")),
    output:
        manifest=MODEL,
        weights="results/runs/{run}/model.safetensors",
    wildcard_constraints:
        run="joined-.+",
    log:
        "results/runs/{run}/log/join.txt",
    params:
        rs=command,
        spec=spec("join", MODEL),
        code=code("join", MODEL),
        job=whole("join", MODEL),
    shell:
        "{params.rs} join --worker {log} --job {params.job:q}"
