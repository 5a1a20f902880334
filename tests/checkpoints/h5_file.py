"""Files as ``TFPreTrainedModel.save_weights`` made them, written without our rules."""

import h5py
import numpy as np

from tests.checkpoints.tiny_bert import hf_tensors


def tf_name(name, model="tf_bert_for_pre_training"):
    """Layer, and name of the variable in TensorFlow, of a tensor of PyTorch."""
    path, ending = name.rsplit(".", 1)
    if path.endswith("LayerNorm"):
        ending = {"weight": "gamma", "bias": "beta"}[ending]
    elif path.endswith(("position_embeddings", "token_type_embeddings")):
        ending = "embeddings"
    elif ending == "weight" and not path.endswith("word_embeddings"):
        ending = "kernel"
    path = path.replace("cls.predictions", "mlm___cls.predictions")
    path = path.replace("cls.seq_relationship", "nsp___cls.seq_relationship")
    scope = path.replace("encoder.layer.", "encoder.layer_._").replace(".", "/")
    scope = scope.replace("layer_/_", "layer_._")
    return scope.split("/")[0], f"{model}/{scope}/{ending}:0"


def write_h5(path, tensors=None, shared=True, model="tf_bert_for_pre_training"):
    """The file; ``shared``: the output head has the embeddings again, as it did."""
    tensors = hf_tensors() if tensors is None else tensors
    layers = {"bert": {}, "dropout_37": {}}
    for name, value in tensors.items():
        layer, variable = tf_name(name, model)
        turned = variable.endswith("/kernel:0")
        layers.setdefault(layer, {})[variable] = value.T if turned else value
    if shared and "mlm___cls" in layers:
        layers["mlm___cls"] |= {
            name: value
            for name, value in layers["bert"].items()
            if "/embeddings/" in name
        }
    with h5py.File(path, "w") as file:
        write_layers(file, layers)
    return path


def write_layers(file, layers):
    """Keras 2's layout: names in attributes, numbers below the group of a layer."""
    file.attrs["layer_names"] = [name.encode() for name in layers]
    file.attrs["backend"] = b"tensorflow"
    file.attrs["keras_version"] = b"2.4.0"
    for layer, variables in layers.items():
        group = file.create_group(layer)
        group.attrs["weight_names"] = [name.encode() for name in variables]
        for name, value in variables.items():
            dataset = group.create_dataset(name, value.shape, dtype=value.dtype)
            dataset[...] = value
    file.create_group("top_level_model_weights").attrs["weight_names"] = np.zeros(0)
