"""Loads a network that was logged to MLflow, in the form in which it was certified, to vote again.

    network = mlflow.pyfunc.load_model("models:/m-...")
    network.predict(images, params={"votes": 1000})  # float32 [N, C, H, W] in [0, 1] -> votes int64 [N, K]

Votes are seeded as in the pipeline, by seed, position of the image in its split, and block. With the study's
seed, the position of the first image as `image`, and at most as many votes as the study's block, they are the
first of the votes that its certificates counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rs.errors import UserError
from rs.machine.devices import generator
from rs.methods import catalog
from rs.networks import checkpoints
from rs.networks.audit import Audited
from rs.networks.inference import InferenceForm, form_of
from rs.networks.openvino_form import OpenVinoForm
from rs.networks.openvino_program import unpacked
from rs.networks.transformations import warn
from rs.provenance.files import read_json
from rs.report.tracking.networks import VOTES
from rs.settings.sampling import by_openvino, requested_form
from rs.smoothing.noise import Noise

WRITTEN = {"run", "weights", "form", "noise", "seed", "block"}
PROBES = 128  # images of uniform noise on which the form is compared with the plain network


class Voting:
    """An MLflow Python function: `predict` counts votes under the run's noise."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        voting, data = read_json(folder / "voting.json"), folder / "manifest.json"
        if not isinstance(voting, dict) or not voting.keys() >= WRITTEN:
            raise UserError(f"{folder / 'voting.json'}: does not say what is certified; log the study again")
        network, manifest = checkpoints.load(folder / voting["run"] / "model.json", data)
        if manifest["sha256"] != voting["weights"]:
            raise UserError(f"{folder}: its weights are not those that were certified")
        self.seed, self.shape = int(voting["seed"]), tuple(read_json(data)["shape"])
        self.noise: Noise = catalog.build("noises", voting["noise"])
        draws = torch.Generator().manual_seed(0)
        probes = torch.rand((PROBES, *self.shape), generator=draws).to(device)
        chance = bool(manifest.get("audit", {}).get("chance", False))
        audited = Audited(network, manifest, probes, voting["run"], chance)
        form = requested_form(voting["form"])
        if by_openvino(form):
            program = unpacked(voting.get("program"), folder / "voting.json")
            self.form: InferenceForm = OpenVinoForm(
                audited, form, device, program, most=1.0
            )  # judged on the machine that made it
        else:
            self.form = form_of(audited, form, device)
        self.device = device
        here = self.form.description
        if other := [key for key in here if voting["form"].get(key) != here[key]]:
            was = ", ".join(f"{key} {voting['form'].get(key)}" for key in other)
            warn(voting["run"], f"was certified with {was}: votes may differ by rounding")

    def predict(self, images: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """Votes int64 [N, K] of images float32 [N, C, H, W] in [0, 1]; `params`: votes, seed, image."""
        arguments = {"votes": VOTES, "seed": self.seed, "image": 0, **(params or {})}
        x = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)).to(self.device)
        if x.shape[1:] != self.shape:
            raise UserError(f"images are {list(x.shape)}; expected [N, {', '.join(map(str, self.shape))}]")
        rows = [self._votes(image, i, arguments) for i, image in enumerate(x, int(arguments["image"]))]
        self.form.check()
        return np.stack(rows)

    def _votes(self, image: torch.Tensor, position: int, arguments: dict[str, Any]) -> np.ndarray:
        draws = generator(self.device, int(arguments["seed"]), "estimate", position, 0)
        counts, _, _ = self.form.vote(
            image, int(arguments["votes"]), lambda rows: self.noise.sample((rows, *image.shape), draws)
        )
        votes: np.ndarray = counts.cpu().numpy()
        return votes


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> Voting:
    """Called by MLflow; `model_config={"device": "cuda"}` at loading chooses the device."""
    return Voting(Path(path), torch.device((model_config or {}).get("device", "cpu")))
