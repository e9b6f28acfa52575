"""The model that a run ended with, where no image may decide which one is best."""

from __future__ import annotations

from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.checkpoint import read_checkpoint_info
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.training.run import Run
from napari_micro_ktnet.training.state import read_state


def last_model(run: Run) -> Model:
    """Give the model of the last step, whatever its validation score.

    Parameters
    ----------
    run : Run
        With a saved state.

    Returns
    -------
    Model
        The moving average of the weights where the run keeps one, else the weights themselves; on the
        CPU, float32, in evaluation mode.

    Raises
    ------
    TrainingError
        The state is damaged.
    ModelError
        The run has no model that says what its network is.
    """
    tensors, _ = read_state(run.state_file)
    part = "averaged/" if run.config.training.ema else "network/"
    spec = read_checkpoint_info(run.model_file).spec
    network = build_network(spec)
    network.load_state_dict({k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)})
    return Model(f"{run.path.name}, last step", network.eval(), spec)
