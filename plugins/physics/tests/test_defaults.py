"""What each component takes where nothing is said: the numbers of its documentation, and of trained weights."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wellposed.recipes import build
from wellposed.registry import component

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("datasets", "augmented"): {
        "length": None,
        "rotation": 0.0,
        "shift": 0.0,
        "scale": 0.0,
        "flip": False,
        "intensity": 0.0,
        "gamma": 0.0,
        "size": None,
        "seed": 0,
    },
    ("datasets", "ellipses"): {"size": 128, "length": 10000, "seed": 0, "distribution": "learned-gradient"},
    ("datasets", "fastmri"): {"slices": None, "size": 320, "mask": None, "maps": "smooth"},
    ("datasets", "htc2022"): {"start": None, "stop": None, "step": 1, "size": 512, "reduce_bins": 1, "reference": None},
    ("datasets", "image-folder"): {
        "crop": "none",
        "patch": None,
        "size": None,
        "grayscale": True,
        "augment": False,
        "repeats": 1,
        "seed": 0,
        "key": None,
        "slice_axis": None,
        "divide_by": None,
    },
    ("datasets", "k-space-file"): {"key": None, "coil_axis": 0, "mask": None, "maps": "espirit", "transposed": False},
    ("datasets", "lidc"): {"every": 1, "size": None, "water": 1.0},
    ("datasets", "rotated"): {"angles": None, "seed": 0},
    ("datasets", "selection"): {"first": 0, "count": None, "step": 1},
    ("datasets", "shepp-logan"): {"size": 128, "length": 1},
    ("datasets", "sinogram-file"): {
        "key": None,
        "transposed": False,
        "angles": None,
        "arc": None,
        "last": None,
        "unit": "radian",
        "flat_field": None,
        "offset": 0.0,
        "scale": 1.0,
        "rotation_centre": "middle",
        "bin_spacing": 1.0,
        "reduce_bins": 1,
        "view_step": 1,
        "size": None,
    },
    ("datasets", "skimage-images"): {"names": None, "size": None, "grayscale": True},
    ("datasets", "textures"): {"size": 128, "length": 10000, "seed": 0, "leaves": 40},
    ("fidelities", "kullback-leibler"): {"gain": 1.0, "background": 0.0},
    ("fidelities", "l1"): {"weight": 1.0},
    ("fidelities", "l2"): {"weight": 1.0},
    ("fidelities", "poisson-transmission"): {"background": 0.0},
    ("fidelities", "weighted-transmission"): {"background": 0.0},
    ("metrics", "matthews"): {"threshold": "otsu"},
    ("metrics", "psnr"): {"data_range": None},
    ("metrics", "ssim"): {"data_range": None, "window": "gaussian", "k1": 0.01, "k2": 0.03},
    ("noise", "gaussian"): {"relative_to": "one"},
    ("noise", "poisson"): {"gain": 1.0},
    ("noise", "poisson-transmission"): {"background": 0.0},
    ("operators", "beer-lambert"): {"mu": 1.0},
    ("operators", "block-compressed-sensing"): {"block": 33, "ratio": None, "seed": 0, "matrix": None},
    ("operators", "complexify"): {"channels": 1},
    ("operators", "compressed-sensing"): {
        "ratio": None,
        "measurements": None,
        "ensemble": "gaussian",
        "orthonormal": True,
        "seed": 0,
    },
    ("operators", "convolution"): {"boundary": "circular", "channels": 1, "rcond": 1e-05},
    ("operators", "downsampling"): {"kernel": None, "channels": 1, "rcond": 1e-05},
    ("operators", "emission"): {"attenuation": 1.0, "background": 0.0},
    ("operators", "fan-beam"): {
        "bins": None,
        "bin_spacing": None,
        "pixel_size": 1.0,
        "rotation_centre": None,
        "arc": None,
        "first": None,
        "last": None,
        "unit": "radian",
        "channels": 1,
        "engine": "auto",
        "memory_limit": 512.0,
    },
    ("operators", "fourier"): {"mask": None, "channels": 1},
    ("operators", "identity"): {"channels": 1},
    ("operators", "inpainting"): {"channels": 1},
    ("operators", "multicoil-fourier"): {"mask": None, "sensitivities": None, "coils": None},
    ("operators", "parallel-beam"): {
        "bins": None,
        "bin_spacing": None,
        "pixel_size": 1.0,
        "rotation_centre": None,
        "arc": None,
        "first": None,
        "last": None,
        "unit": "radian",
        "channels": 1,
        "engine": "auto",
        "memory_limit": 512.0,
    },
    ("patterns", "birdcage"): {"distance": 1.5},
    ("patterns", "camera-shake-kernel"): {"smoothness": 0.25, "seed": 0},
    ("patterns", "cartesian-mask"): {
        "acceleration": 4.0,
        "center_fraction": 0.08,
        "axis": 1,
        "density": 2.0,
        "seed": 0,
    },
    ("patterns", "file-pattern"): {"key": None, "shift": False},
    ("patterns", "gaussian-kernel"): {"size": None},
    ("patterns", "motion-kernel"): {"angle": 0.0},
    ("patterns", "pixel-mask"): {"seed": 0},
    ("patterns", "poisson-disc-mask"): {"calibration": 20, "growth": 3.0, "seed": 0},
    ("patterns", "radial-mask"): {"lines": None, "ratio": None},
    ("patterns", "random-mask"): {"calibration": 0, "density": 3.0, "seed": 0},
}


@pytest.mark.parametrize(("kind", "name"), DEFAULTS)
def test_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(component(kind, name).__init__).parameters
    assert {argument: parameters[argument].default for argument in DEFAULTS[kind, name]} == DEFAULTS[kind, name]


@pytest.mark.parametrize(
    ("kind", "node", "text"),
    [
        ("fidelities", {"use": "l2", "weight": 0.5}, "PerBin(weight=0.5)"),
        ("fidelities", {"use": "kullback-leibler", "gain": 2.0}, "gain=2\n"),
        ("fidelities", {"use": "poisson-transmission", "photons": 100.0}, "Transmission(photons=100, background=0)"),
        (
            "fidelities",
            {"use": "weighted-transmission", "photons": 100.0, "background": 2.0},
            "WeightedTransmission(photons=100, background=2)",
        ),
        ("noise", {"use": "gaussian", "sigma": 0.1}, "GaussianNoise(sigma=0.1, relative_to='one')"),
        ("noise", {"use": "laplace", "scale": 0.1}, "LaplaceNoise(scale=0.1)"),
        ("noise", {"use": "poisson", "gain": 2.0}, "PoissonNoise(gain=2)"),
        ("noise", {"use": "poisson-transmission", "photons": 100.0}, "TransmissionNoise(photons=100, background=0)"),
    ],
)
def test_a_component_prints_its_numbers(kind: str, node: Any, text: str) -> None:
    assert text in repr(build(kind, node))
