"""Sums over the replicas of a `tf.distribute` strategy."""

import keras


def count_replicas():
    """Returns the number of replicas of the strategy in scope, 1 on the other backends."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_context():
    """Returns the replica context where several replicas run together, else `None`.

    Model building, one device and the other backends of Keras have none.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def sum_over_replicas(tensors):
    """Returns the sums of tensors over all replicas; on one device the tensors themselves.

    Args:
        tensors: list of tensors, the share of this replica.
    """
    context = replica_context()
    if context is None:
        return tensors
    import tensorflow as tf

    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
