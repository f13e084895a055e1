"""The passes forward and backward of a network as two graphs, each compiled with its weights frozen.

torch.fx writes both passes down as one graph, operation by operation (`make_fx`), none of them in place. It
is cut where the gradient of the logits enters. No half takes gradients, so `torch.compile` freezes both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx

Pass = Callable[..., Any]


def halves(joint: Pass, images: Tensor, above: Tensor) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Forward and backward half of `joint`, which maps images and the gradient of their logits, `above`
    [rows, K], to logits [rows, K] and a gradient.

    The first maps images to the logits and what the second needs; the second maps `above` and that to the
    gradient. Raises what the network raises where its code depends on the values of tensors.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    with torch.no_grad():
        turned = {torch.ops.aten.convolution_backward.default: _turned}
        whole = make_fx(torch.func.functionalize(joint, remove="mutations_and_views"), turned)(images, above)
    for name, value in list(vars(whole).items()):
        if isinstance(value, Tensor):  # frozen only where it is a buffer
            delattr(whole, name)
            whole.register_buffer(name, value)
    whole.graph.eliminate_dead_code()
    nodes = list(whole.graph.nodes)
    first, second = (n for n in nodes if n.op == "placeholder")
    (ends,) = (n for n in nodes if n.op == "output")
    logits, gradient = ends.args[0]
    after, before = _following(second, nodes), _following(first, nodes)
    saved = [
        n for n in nodes if n in before and n not in after and any(user in after - {ends} for user in n.users)
    ]
    forward = _part(whole, [first], [logits, *saved])
    return forward, _part(whole, [second, *saved], [gradient])


def _turned(
    above: Tensor,
    images: Tensor,
    weight: Tensor,
    sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    out: Sequence[int],
    groups: int,
    mask: Sequence[bool],
) -> Any:
    """aten.convolution_backward; for stride 1 as a convolution with turned weights, with which the compiler
    does what follows.
    """
    alone = groups == 1 and not transposed and list(mask) == [True, False, False]
    size = weight.shape[2:]
    around = [k - 1 - p for k, p in zip(size, padding, strict=True)] if len(size) == len(padding) else [-1]
    if not alone or len(size) != 2 or {*stride, *dilation} != {1} or min(around) < 0:
        return NotImplemented
    turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    convolution = torch.ops.aten.convolution.default
    return convolution(above, turned, None, [1, 1], around, [1, 1], False, [0, 0], 1), None, None


def _following(start: fx.Node, nodes: Sequence[fx.Node]) -> set[fx.Node]:
    found = {start}
    for node in nodes:
        if any(each in found for each in node.all_input_nodes):
            found.add(node)
    return found


def _part(whole: fx.GraphModule, inputs: Sequence[fx.Node], outputs: Sequence[fx.Node]) -> fx.GraphModule:
    """The graph from the nodes `inputs` to those `outputs`."""
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for i, node in enumerate(inputs):
        copies[node] = graph.placeholder(f"input_{i}")
    needed, open_nodes = set(inputs), list(outputs)
    while open_nodes:
        if (node := open_nodes.pop()) not in needed:
            needed.add(node)
            open_nodes += node.all_input_nodes
    for node in whole.graph.nodes:
        if node in needed and node not in copies:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in outputs))
    return fx.GraphModule(whole, graph)


def compiled(half: fx.GraphModule) -> Pass:
    """The half as `torch.compile` makes it at its first call, for the shapes of that call only."""
    traced = torch.compile(half, dynamic=False, fullgraph=True)

    def run(*inputs: Tensor) -> Any:
        with _frozen(), torch.no_grad():
            return traced(*inputs)

    return run


@contextlib.contextmanager
def _frozen() -> Iterator[None]:
    """Set while a half is traced, as in rs.networks.inference."""
    from torch._dynamo import config as dynamo  # the import takes seconds
    from torch._inductor import config as inductor

    with inductor.patch(freezing=True), dynamo.patch(fail_on_recompile_limit_hit=True):
        yield
