"""A trained model as one ONNX file, and back: what ONNX Runtime needs, and what elman needs."""
