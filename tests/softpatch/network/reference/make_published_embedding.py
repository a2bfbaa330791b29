"""Writes published_embedding.onnx: the fused embedding that softpatch.network.export puts behind WideResNet50, alone.

Needs the export extra: `python tests/softpatch/reference/make_published_embedding.py`.
"""

from pathlib import Path

import torch

from softpatch.network.export import PublishedEmbedding


def main() -> None:
    """Dynamic height and width, one frame."""
    fine, coarse = torch.zeros(1, 512, 8, 12), torch.zeros(1, 1024, 4, 6)
    rows, columns = torch.export.Dim("rows", min=1), torch.export.Dim("columns", min=1)
    program = torch.onnx.export(
        PublishedEmbedding(),
        (fine, coarse),
        dynamo=True,
        input_names=["fine", "coarse"],
        output_names=["embeddings"],
        dynamic_shapes=({2: 2 * rows, 3: 2 * columns}, {2: rows, 3: columns}),
        opset_version=18,
        external_data=False,
    )
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]
    Path(__file__).with_name("published_embedding.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
