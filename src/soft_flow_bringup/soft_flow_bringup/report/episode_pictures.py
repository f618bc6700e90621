"""Pictures of episodes: contact sheets and short videos of what the cameras saw."""

import io
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, MUTED, PAPER = (31, 41, 51), (102, 114, 127), (255, 255, 255)
GAP, BAR = 6, 30  # pixels between pictures; height of the caption bar
FONT_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@dataclass(frozen=True)
class EpisodeFrames:
    """What the cameras saw in an episode.

    Attributes:
        images: camera name -> (N, height, width, 3) uint8, RGB, one a control tick.
        stages: (N,) for each tick the names of the stages that were reached by then.
        dt: seconds between frames.
    """

    images: dict[str, np.ndarray]
    stages: tuple[tuple[str, ...], ...]
    dt: float

    def __len__(self) -> int:
        """Number of ticks."""
        return len(self.stages)


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as it comes with matplotlib, so that no font has to be installed."""
    return ImageFont.truetype(str(FONT_FOLDER / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")), size)


def enlarge(image: np.ndarray, height: int) -> Image.Image:
    """The image scaled to `height` pixels."""
    picture = Image.fromarray(image)
    return picture.resize((round(picture.width * height / picture.height), height), Image.Resampling.LANCZOS)


def side_by_side(frames: EpisodeFrames, tick: int, height: int) -> Image.Image:
    """All cameras at one tick, in one row."""
    pictures = [enlarge(images[tick], height) for images in frames.images.values()]
    row = Image.new("RGB", (sum(p.width for p in pictures) + GAP * (len(pictures) - 1), height), PAPER)
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + GAP
    return row


def captioned(frames: EpisodeFrames, tick: int, height: int) -> np.ndarray:
    """One frame of a video: time and stages, camera names, pictures; (H, W, 3) uint8, even sizes."""
    row = side_by_side(frames, tick, height)
    canvas = Image.new("RGB", (row.width + row.width % 2, height + height % 2 + 2 * BAR), PAPER)
    canvas.paste(row, (0, 2 * BAR))
    draw, left = ImageDraw.Draw(canvas), 0
    draw.text((2, 5), f"{tick * frames.dt:.2f} s", fill=INK, font=font(17, bold=True))
    draw.text((90, 5), "  ·  ".join(frames.stages[tick]), fill=INK, font=font(17))
    for name, images in frames.images.items():
        draw.text((left + 2, BAR + 6), name.replace("_", " "), fill=MUTED, font=font(14))
        left += round(images.shape[2] * height / images.shape[1]) + GAP
    return np.asarray(canvas)


def encode_mp4(pictures: Sequence[np.ndarray], rate: float, quality: int = 26) -> bytes:
    """H.264 video of (H, W, 3) uint8 pictures with even sizes; plays in every current browser.

    Args:
        pictures: frames in order.
        rate: frames a second.
        quality: constant rate factor, smaller is better.

    Raises:
        RuntimeError: the encoder failed; with its message.
    """
    height, width = pictures[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {rate:g} -i - -an"
        target = (
            f"-c:v libx264 -pix_fmt yuv420p -crf {quality} -preset veryfast -threads 1 -movflags +faststart"
        )
        program = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error"]
        command = [*program, *source.split(), *target.split(), str(path)]
        done = subprocess.run(command, input=b"".join(p.tobytes() for p in pictures), capture_output=True)
        if done.returncode:
            raise RuntimeError(f"video encoder failed: {done.stderr.decode(errors='replace').strip()}")
        return path.read_bytes()


def episode_video(frames: EpisodeFrames, height: int = 252, pause: float = 1.0) -> bytes:
    """The episode as mp4 with all cameras side by side, at its own pace, resting on the last frame."""
    rate = 1 / frames.dt
    pictures = [captioned(frames, tick, height) for tick in range(len(frames))]
    return encode_mp4([*pictures, *[pictures[-1]] * round(pause * rate)], rate)


def film_strip(pictures: Sequence[np.ndarray], scale: int = 2) -> np.ndarray:
    """(H, W, 3) uint8 pictures of one size side by side, enlarged, with a gap on both sides of each."""
    strip = []
    for picture in pictures:
        large = np.asarray(enlarge(picture, scale * picture.shape[0]))
        edge = np.full((len(large), GAP // 2, 3), PAPER, dtype=np.uint8)
        strip += [edge, large, edge]
    return np.concatenate(strip, axis=1)


def to_jpeg(picture: Image.Image, quality: int = 85) -> bytes:
    """JPEG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()
