# Imports a published checkpoint instead of training a network.
rule import_weights:
    input:
        data=prepared("import", MODEL),
        weights=named("import", MODEL, "weights"),
    output:
        manifest=MODEL,
        weights="results/runs/{run}/model.safetensors",
    wildcard_constraints:
        run="imported-.+",
    log:
        "results/runs/{run}/log/import.txt",
    params:
        rs=command,
        spec=spec("import", MODEL),
        code=code("import", MODEL),
        job=whole("import", MODEL),
    shell:
        "{params.rs} import --worker {log} --job {params.job:q}"
