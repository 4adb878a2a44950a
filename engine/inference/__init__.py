"""Text generation: the protocol, the ONNX back end, and the host process that terminals share."""
