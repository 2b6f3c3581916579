from .checkpoints import (
    SUFFIXES as SUFFIXES,
)
from .checkpoints import (
    read_state_dict as read_state_dict,
)
from .loading import (
    load_weights as load_weights,
)
from .ports import (
    port_state_dict as port_state_dict,
)
from .records import (
    WeightsRecord as WeightsRecord,
)
from .reference_names import (
    reference_variables as reference_variables,
)
from .report import (
    LoadReport as LoadReport,
)
from .resolution import (
    find_weights as find_weights,
)
from .resolution import (
    list_weights as list_weights,
)
from .sources import (
    WeightsError as WeightsError,
)
from .sources import (
    WeightsNotFoundError as WeightsNotFoundError,
)
from .torch_files import (
    CheckpointError as CheckpointError,
)
from .torch_files import (
    read_torch as read_torch,
)
