from __future__ import annotations

import pytest
import torch

from energybench.errors import UsageError
from energybench.lab.models import ARCHITECTURES, NINE, architecture, build, count_parameters, load_backbone

# Parameters with 1000 classes as published with torchvision's weights.
PUBLISHED = {
    "alexnet": 61_100_840,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "inception_v3": 27_161_264,
    "densenet121": 7_978_856,
    "vgg16": 138_357_544,
    "convnext_base": 88_591_464,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_model_with_1000_classes_has_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        main, auxiliary = count_parameters(build(name, 1000, 299))
    assert main + auxiliary == PUBLISHED[name] == ARCHITECTURES[name].parameters
    assert (auxiliary > 0) == (name == "inception_v3")


def test_the_study_has_nine_models_and_resnet152_beside_them() -> None:
    assert set(NINE) == set(PUBLISHED) - {"resnet152"}
    assert len(NINE) == 9


@pytest.mark.parametrize(("pixels", "transforms"), [(75, False), (299, True)])
def test_inception_transforms_its_input_where_published_weights_fit(pixels: int, transforms: bool) -> None:
    assert getattr(build("inception_v3", 10, pixels), "transform_input") is transforms  # noqa: B009 (not nn.Module's)


def test_inception_has_no_auxiliary_head_below_299_pixels() -> None:
    with torch.device("meta"):
        small, large = (count_parameters(build("inception_v3", 10, pixels)) for pixels in (75, 299))
    assert small[1] == 0
    assert large[1] > 0
    assert small[0] == large[0]


@pytest.mark.parametrize("name", [*NINE, "tiny"])
def test_the_smallest_image_reaches_the_head(name: str) -> None:
    smallest = architecture(name).minimum_pixels
    with torch.device("meta"):
        model = build(name, 7, smallest).eval()
        assert model(torch.zeros(2, 3, smallest, smallest)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "classes", "pixels", "said"),
    [
        ("resnet19", 10, 32, "unknown model 'resnet19'; there are tiny, .*resnet18.*vgg16"),
        ("alexnet", 10, 62, "at least 63 pixels, not 62"),
        ("resnet18", 1, 32, "at least two classes"),
    ],
)
def test_what_cannot_be_built_is_said(name: str, classes: int, pixels: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(name, classes, pixels)


def test_tiny_has_78042_parameters() -> None:
    assert count_parameters(build("tiny", 10, 16)) == (78_042, 0)


def test_a_head_of_another_shape_keeps_its_random_values_and_the_rest_is_loaded() -> None:
    source, target = build("tiny", 5, 16), build("tiny", 10, 16)
    kept = load_backbone(target, "tiny", source.state_dict())
    assert set(kept) == {"fc.weight", "fc.bias"}
    for key, value in target.state_dict().items():
        if key not in kept:
            torch.testing.assert_close(value, source.state_dict()[key])


def test_weights_that_do_not_fit_are_named() -> None:
    model = build("tiny", 10, 16)
    state = model.state_dict()
    with pytest.raises(ValueError, match=r"conv1\.weight is missing"):
        load_backbone(model, "tiny", {k: v for k, v in state.items() if k != "conv1.weight"})
    with pytest.raises(ValueError, match=r"conv1\.weight has shape"):
        load_backbone(model, "tiny", {**state, "conv1.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"extra is no part"):
        load_backbone(model, "tiny", {**state, "extra": torch.zeros(1)})


def test_densenets_old_names_are_understood() -> None:
    model = build("densenet121", 10, 32)
    state = model.state_dict()
    old = {key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): value for key, value in state.items()}
    assert old.keys() != state.keys()
    assert load_backbone(model, "densenet121", old) == ()
