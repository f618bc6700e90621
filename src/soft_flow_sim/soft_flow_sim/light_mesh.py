"""Light meshes for rendering: vertex clustering of large STL files.

Software rendering pays for vertices, not for pixels, and the hand's CAD meshes have a million of them.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEADER_BYTES = 84
_TRIANGLE_BYTES = 50


def read_binary_stl(path: Path) -> NDArray[np.float64]:
    """Reads the triangles of a binary STL file.

    Args:
        path: a binary STL file.

    Returns:
        Triangle corners, shape (triangles, 3, 3), in the file's own unit.

    Raises:
        ValueError: the file's length does not match the number of triangles in its header.
    """
    raw = np.fromfile(path, dtype=np.uint8)
    count = int(raw[80:_HEADER_BYTES].view("<u4")[0]) if len(raw) >= _HEADER_BYTES else -1
    if len(raw) != _HEADER_BYTES + _TRIANGLE_BYTES * count:
        raise ValueError(f"{path} is not a binary STL: {len(raw)} bytes do not hold {count} triangles")
    records = raw[_HEADER_BYTES:].reshape(count, _TRIANGLE_BYTES)
    corners = records[:, 12:48].copy().view("<f4").reshape(count, 3, 3)
    return corners.astype(np.float64)


def cluster_vertices(
    triangles: NDArray[np.float64], cell: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merges all vertices that share a cubic cell and drops the triangles that collapse.

    Args:
        triangles: shape (triangles, 3, 3), metres.
        cell: edge of a cell, metres.

    Returns:
        Vertices (n, 3), the mean of each cell in metres, and faces (m, 3) as vertex indices with the
        orientation of the original triangles.
    """
    corners = triangles.reshape(-1, 3)
    cells = np.floor(corners / cell).astype(np.int64)
    cells -= cells.min(axis=0)
    extent = cells.max(axis=0) + 1
    keys = (cells[:, 0] * extent[1] + cells[:, 1]) * extent[2] + cells[:, 2]
    _, index = np.unique(keys, return_inverse=True)
    count = np.bincount(index)
    vertices = np.stack([np.bincount(index, corners[:, axis]) / count for axis in range(3)], axis=1)
    faces = index.reshape(-1, 3)
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (a != c)]
    first = np.argmin(faces, axis=1)[:, None]
    rotated = np.take_along_axis(faces, (first + np.arange(3)) % 3, axis=1)
    return vertices, np.unique(rotated, axis=0)
