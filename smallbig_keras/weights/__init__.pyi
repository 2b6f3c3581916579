from .catalogue import list_weights as list_weights
from .fetching import (
    DownloadError as DownloadError,
    WeightsError as WeightsError,
    WeightsNotFoundError as WeightsNotFoundError,
)
from .loading import load_weights as load_weights
from .ports import port_state_dict as port_state_dict, reference_variables as reference_variables
from .records import WeightsRecord as WeightsRecord
from .report import LoadReport as LoadReport
from .resolution import find_weights as find_weights
from .state_dicts import SUFFIXES as SUFFIXES, read_state_dict as read_state_dict
from .torch_files import CheckpointError as CheckpointError, read_torch as read_torch
