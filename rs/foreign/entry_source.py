"""`entry:module:function`: runs the user's own code. The function takes no arguments and returns the network;
`--weights FILE` fills it. Options state its input; without them it takes images as they are, in [0, 1].
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from rs.api.inputs import unfilled
from rs.errors import UserError
from rs.foreign.preprocessing import Preprocessing
from rs.foreign.recognised import refuse
from rs.foreign.sources import Foreign, Request, digest_of
from rs.foreign.weights import fill, state_of
from rs.networks import imported


def load(request: Request) -> Foreign:
    module, colon, function = request.name.partition(":")
    if not colon or not module or not function:
        refuse(f"--model {request.title}", Path(request.name))
        raise request.fault("must be entry:MODULE:FUNCTION")
    try:
        network = imported.call(request.name)
    except UserError as error:
        reason = str(error).removeprefix(f"entry {request.name}: ")
        raise request.fault(reason) from error
    if request.weights is not None:
        network = fill(network, state_of(request), request)
    if lacking := unfilled(network):
        raise request.fault(f"{lacking}, in the function")
    source = Path(getattr(sys.modules[module], "__file__", None) or module)
    code = hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else ""
    provenance = {"module": code, "weights": digest_of(network)}
    return Foreign(request.title, network, Preprocessing("the defaults"), provenance)
