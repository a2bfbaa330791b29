"""Step 1: the network. Frames to patch embeddings, by one ONNX graph."""
