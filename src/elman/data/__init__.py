"""Files to records to tensors."""

from elman.data.batches import batches_by_length, pad
from elman.data.kinds import files_in, kind_of
from elman.data.numbers import parse_numbers
from elman.data.output import open_output
from elman.data.sequences import Groups, constant_within, grouped_sequences, parse_sequences
from elman.data.series import Series, read_series
from elman.data.split import grouped_split, joined_groups
from elman.data.table import Table, read_blocks, read_table
from elman.data.text import Text, read_text
from elman.data.times import Times, parse_times
from elman.data.vocabulary import Vocabulary
from elman.data.writing import RowWriter, row_writer

__all__ = [
    "Groups",
    "RowWriter",
    "Series",
    "Table",
    "Text",
    "Times",
    "Vocabulary",
    "batches_by_length",
    "constant_within",
    "files_in",
    "grouped_sequences",
    "grouped_split",
    "joined_groups",
    "kind_of",
    "open_output",
    "pad",
    "parse_numbers",
    "parse_sequences",
    "parse_times",
    "read_blocks",
    "read_series",
    "read_table",
    "read_text",
    "row_writer",
]
