"""Functions that build equations from tensors: `layer(net, name, x, …) -> Tensor`, forward equations only.

Tensors go in and the tensor `name` comes out; the parameters are the user's own, declared before. Indices come from
the tensors that are given, and those of an axis that a layer makes are given by the user. Intermediates that a layer
defines are named `<name>_<what>`. Import from the file of a family: `from symbp.layers.linear import dense`.
"""
