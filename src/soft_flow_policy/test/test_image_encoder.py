import pytest
import torch

from soft_flow_policy.image_encoder import ImageEncoder, ImageEncoderConfig, centre_crop, crop


def blob(row: int, column: int) -> torch.Tensor:
    image = torch.full((1, 84, 84, 3), 128, dtype=torch.uint8)
    image[:, row - 4 : row + 4, column - 4 : column + 4] = torch.tensor([250, 30, 90], dtype=torch.uint8)
    return image


@pytest.fixture
def encoder() -> ImageEncoder:
    torch.manual_seed(0)
    encoder = ImageEncoder(ImageEncoderConfig(), 84, 84)
    torch.nn.init.constant_(
        encoder.log_sharpness, 2.5
    )  # maps look at the blob, not at the mean of everything
    torch.nn.init.zeros_(encoder.maps.bias)
    return encoder


def keypoints_px(encoder: ImageEncoder, image: torch.Tensor, offset: tuple[int, int]) -> torch.Tensor:
    features = encoder(image, torch.tensor([offset]))
    return (features[0, : 2 * encoder.config.keypoints].view(-1, 2) + 1) * 42 - 0.5


def test_keypoints_stay_where_the_thing_is_when_the_crop_moves(encoder: ImageEncoder) -> None:
    with torch.no_grad():
        reference = keypoints_px(encoder, blob(44, 40), (4, 4))
        for offset in [
            (0, 0),
            (8, 0),
            (0, 8),
            (8, 8),
        ]:  # multiples of the stride: the same cells see the blob
            shift = (keypoints_px(encoder, blob(44, 40), offset) - reference).abs()
            assert shift.median() < 0.5 and shift.mean() < 1.0, (offset, shift)


def test_keypoints_follow_the_thing_when_it_moves(encoder: ImageEncoder) -> None:
    with torch.no_grad():
        moved = keypoints_px(encoder, blob(52, 48), (4, 4)) - keypoints_px(encoder, blob(44, 40), (4, 4))
    sharp = moved[(moved - 8).abs().amax(dim=1) < 1.5]
    assert len(sharp) >= encoder.config.keypoints / 4, moved


def test_every_sample_is_cropped_at_its_own_offset() -> None:
    images = torch.randint(0, 256, (2, 84, 84, 3), dtype=torch.uint8)
    out = crop(images, torch.tensor([[0, 8], [3, 5]]), 8)
    assert torch.equal(out[0], images[0, 0:76, 8:84])
    assert torch.equal(out[1], images[1, 3:79, 5:81])


def test_centred_crop_is_a_crop_at_half_the_margin(encoder: ImageEncoder) -> None:
    images = torch.randint(0, 256, (2, 84, 84, 3), dtype=torch.uint8)
    offsets = torch.full((2, 2), 4)
    assert torch.equal(centre_crop(images, 8), crop(images, offsets, 8))
    assert torch.allclose(encoder(images), encoder(images, offsets), atol=1e-5)


def test_images_too_small_for_the_crop_are_refused() -> None:
    with pytest.raises(ValueError, match="too small for a crop margin"):
        ImageEncoder(ImageEncoderConfig(), 20, 84)
