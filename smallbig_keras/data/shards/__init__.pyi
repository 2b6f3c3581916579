from .manifest import (
    check_shards as check_shards,
)
from .options import ShardOptions as ShardOptions
from .reading import (
    ShardSource as ShardSource,
)
from .writing import (
    make_shards as make_shards,
)
