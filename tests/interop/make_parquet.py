"""Write the Parquet files of tests/fixtures/.

    pip install pyarrow
    python make_parquet.py ../fixtures
"""

import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def main(out):
    rows = pa.table(
        {
            "text": ["good", "bäd", ""],
            "label": pa.array([1, 0, -3], pa.int64()),
            "weight": pa.array([0.5, None, 2.0], pa.float32()),
            "truth": [True, False, True],
        }
    )
    pq.write_table(rows, out / "rows.parquet", compression="snappy")
    pq.write_table(pa.table({"ids": [[1, 2], [3]]}), out / "list.parquet", compression="gzip")


main(pathlib.Path(sys.argv[1]))
