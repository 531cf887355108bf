"""Files to records to tensors."""

from elman.data.batches import batches_by_length, pad
from elman.data.split import grouped_split, joined_groups
from elman.data.table import Table, read_table
from elman.data.vocabulary import Vocabulary

__all__ = [
    "Table",
    "Vocabulary",
    "batches_by_length",
    "grouped_split",
    "joined_groups",
    "pad",
    "read_table",
]
