"""Which first-party distribution provides a component that is not installed.

Only for the sentence that a missing name gets; what is installed is read from entry points alone. A test
compares this table with the entry points of this repository.
"""

from __future__ import annotations

_PROVIDED = {
    "wellposed-physics": (
        "parallel-beam fan-beam beer-lambert emission fourier multicoil-fourier convolution inpainting "
        "compressed-sensing block-compressed-sensing downsampling identity complexify matrix cartesian-mask "
        "radial-mask random-mask full-mask poisson-disc-mask birdcage file-pattern pixel-mask gaussian-kernel "
        "motion-kernel disk-kernel camera-shake-kernel gaussian poisson poisson-transmission laplace l2 "
        "kullback-leibler weighted-transmission ellipses shepp-logan textures skimage-images image-folder "
        "fastmri lidc htc2022 sinogram-file k-space-file augmented rotated selection psnr ssim nmse nmse-db "
        "nrmse relative-l2 matthews"
    ),
    "wellposed-classical": (
        "tikhonov total-variation smoothed-total-variation total-generalized-variation wavelet-l1 huber "
        "nonnegativity box compose landweber kaczmarz sart stochastic-gradient conjugate-gradient "
        "gradient-descent proximal-gradient fista pdhg admm linearized-bregman truncated-svd tikhonov-direct "
        "filtered-backprojection zero-filled measurement"
    ),
    "wellposed-equilibrium": (
        "learned-proximal anderson broyden implicit jacobian-free phantom contractive-residual equilibrium-proximal"
    ),
    "wellposed-supervised": "unet residual learned-primal-dual post-processing supervised mean-squared-error",
    "wellposed-bilevel": "bilevel-dfo bilevel-implicit indicator-signals",
    "wellposed-sparse": ("gaussian-columns alista ista-net-plus blockwise-linear layer-wise sparse-codes code-file"),
    "wellposed-equivariant": (
        "proximal-network cyclic-proximal-network escnn-proximal-network learned-proximal-gradient "
        "equivariant-proximal-gradient"
    ),
    "wellposed-generative": (
        "generative-gaussian variable-projection vae-covariance identity-covariance diagonal-covariance "
        "sparse-cholesky diffusion gaussian-diffusion diffpir elbo denoising-score"
    ),
}

PROVIDER = {name: dist for dist, names in _PROVIDED.items() for name in names.split()}
