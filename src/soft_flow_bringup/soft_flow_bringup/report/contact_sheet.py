"""A contact sheet: one tile an episode, framed in the colour of how far it came."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from soft_flow_bringup.report.episode_pictures import GAP, INK, MUTED, PAPER, enlarge, font

FRAME, CAPTION = 4, 22  # pixels
GOOD, PARTLY, NOTHING = (0, 158, 115), (230, 159, 0), (190, 198, 206)


@dataclass(frozen=True)
class Tile:
    """An episode on the sheet.

    Attributes:
        before: (H, W, 3) uint8 picture of its start.
        after: the picture that shows best how far it came.
        caption: e.g. its seed.
        stage: the furthest stage, empty if none.
        success: whether it reached the task's aim.
    """

    before: np.ndarray
    after: np.ndarray
    caption: str
    stage: str
    success: bool

    @property
    def colour(self) -> tuple[int, int, int]:
        """Colour of the frame."""
        if self.success:
            return GOOD
        return PARTLY if self.stage else NOTHING


def telling_tick(stages: Sequence[Sequence[str]]) -> int:
    """The tick at which the furthest stage was reached first; the last one if none was."""
    final = len(stages[-1])
    if not final:
        return len(stages) - 1
    return next(tick for tick, reached in enumerate(stages) if len(reached) == final)


def draw_tile(tile: Tile, height: int) -> Image.Image:
    """A framed pair of pictures with its caption below."""
    first, second = enlarge(tile.before, height), enlarge(tile.after, height)
    width = first.width + second.width + 2 + 2 * FRAME
    picture = Image.new("RGB", (width, height + 2 * FRAME + CAPTION), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 0, width - 1, height + 2 * FRAME - 1), radius=5, fill=tile.colour)
    picture.paste(first, (FRAME, FRAME))
    picture.paste(second, (FRAME + first.width + 2, FRAME))
    top = height + 2 * FRAME + 3
    draw.text((2, top), tile.caption, fill=MUTED, font=font(14))
    label = tile.stage or "nothing"
    draw.text((width - 2, top), label, fill=INK, font=font(14, bold=bool(tile.stage)), anchor="ra")
    return picture


def contact_sheet(tiles: Sequence[Tile], columns: int = 4, height: int = 130) -> Image.Image:
    """All tiles in rows of `columns`.

    Raises:
        ValueError: there is no tile.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one tile")
    pictures = [draw_tile(tile, height) for tile in tiles]
    width, tall = pictures[0].width + 2 * GAP, pictures[0].height + 2 * GAP
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width - 2 * GAP, rows * tall - 2 * GAP), PAPER)
    for index, picture in enumerate(pictures):
        sheet.paste(picture, ((index % columns) * width, (index // columns) * tall))
    return sheet
