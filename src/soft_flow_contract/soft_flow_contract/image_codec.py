"""Images as they travel in observations: JPEG (small) or PNG (exact)."""

import cv2
import numpy as np

from soft_flow_contract.errors import ObservationError

JPEG_QUALITY = 95


def encode_image(image: np.ndarray, encoding: str = "jpeg") -> bytes:
    """Compress an RGB image (H, W, 3) uint8.

    Raises:
        ObservationError: unknown encoding, or the image cannot be encoded.
    """
    if encoding not in ("jpeg", "png"):
        raise ObservationError(f"image encoding: expected 'jpeg' or 'png', got '{encoding}'")
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if encoding == "jpeg" else []
    ok, data = cv2.imencode(".jpg" if encoding == "jpeg" else ".png", image[:, :, ::-1], options)
    if not ok:
        raise ObservationError(
            f"image of shape {image.shape} and type {image.dtype} cannot be encoded as {encoding}"
        )
    return data.tobytes()


def decode_image(data: bytes | np.ndarray, source: str = "image") -> np.ndarray:
    """Decompress to RGB (H, W, 3) uint8.

    Raises:
        ObservationError: the bytes are no image; `source` names where they came from.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    image = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if buffer.size else None
    if image is None:
        raise ObservationError(f"{source}: {buffer.size} bytes that are not a JPEG or PNG image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
