"""The network: frames to patch embeddings, by one ONNX graph."""
