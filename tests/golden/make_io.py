#!/usr/bin/env python3
"""Makes tests/golden/io/: what Pillow reads from and makes of one synthetic picture.

Needs Pillow and numpy (Debian 12: 9.4 and 1.24) and writes the same bytes each time. Results are
stored as PNG, which loses nothing:
  pic.png                    61 x 47 RGB: waves, an edge, noise
  resize_<w>x<h>_<filter>    Image.resize
  fit_<resize>_<size>_<f>    shorter side to <resize>, centre crop (torchvision, timm)
  cover_<H>x<W>_<h>x<w>      least size over H x W, centre crop to h x w (timm's ResizeKeepRatio)
  jpeg_<kind>.jpg, .png      a JPEG and the pixels Pillow reads from it
  png_<kind>.png, _rgb.png   a PNG of another pixel format and its colour channels
  webp_<kind>.webp, .png     a WebP and the pixels Pillow reads from it
"""
import pathlib

import numpy as np
from PIL import Image

OUT = pathlib.Path(__file__).resolve().parent / "io"
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def picture(width, height):
    y, x = np.mgrid[0:height, 0:width]
    rng = np.random.RandomState(7)
    planes = [127 + 120 * np.sin(x / (3.0 + c) + y * y / (40.0 + 9 * c)) for c in range(3)]
    a = np.stack(planes, axis=-1) + rng.randint(-30, 31, (height, width, 3))
    a[:, width // 3:width // 3 + 2] = 255  # overshoots under the cubic
    a[height // 2] = 0
    return Image.fromarray(np.clip(a, 0, 255).astype(np.uint8), "RGB")


def save(im, name):
    im.save(OUT / (name + ".png"), optimize=True)


def fit(im, resize, size, resample):
    w, h = im.size
    short, long = min(w, h), max(w, h)
    if short != resize:
        other = int(resize * long / short)
        im = im.resize((resize, other) if w <= h else (other, resize), resample)
    left = int(round((im.size[0] - size) / 2.0))
    top = int(round((im.size[1] - size) / 2.0))
    return im.crop((left, top, left + size, top + size))


def cover(im, to, size, resample):
    w, h = im.size
    ratio = min(h / to[0], w / to[1])
    w, h = round(w / ratio), round(h / ratio)
    left, top = int(round((w - size[1]) / 2.0)), int(round((h - size[0]) / 2.0))
    return im.resize((w, h), resample).crop((left, top, left + size[1], top + size[0]))


COVERS = (((30, 20), (26, 18)), ((20, 33), (19, 30)), ((47, 50), (40, 50)))


def main():
    OUT.mkdir(exist_ok=True)
    pic = picture(61, 47)
    save(pic, "pic")
    for name, resample in FILTERS.items():
        for w, h in ((23, 17), (96, 80), (61, 30), (40, 47), (5, 90), (1, 1)):
            save(pic.resize((w, h), resample), f"resize_{w}x{h}_{name}")
        for resize, size in ((36, 32), (47, 40), (64, 63), (47, 46)):
            save(fit(pic, resize, size, resample), f"fit_{resize}_{size}_{name}")
    for to, size in COVERS:
        save(cover(pic, to, size, FILTERS["bicubic"]),
             f"cover_{to[0]}x{to[1]}_{size[0]}x{size[1]}")
    tall = pic.rotate(90, expand=True)
    save(fit(tall, 36, 31, FILTERS["bicubic"]), "fit_tall_36_31_bicubic")

    kinds = {"420": dict(quality=75), "444": dict(quality=90, subsampling=0),
             "progressive": dict(quality=80, progressive=True)}
    for name, options in kinds.items():
        pic.save(OUT / f"jpeg_{name}.jpg", **options)
    pic.convert("L").save(OUT / "jpeg_grey.jpg", quality=85)
    pic.convert("CMYK").save(OUT / "jpeg_cmyk.jpg", quality=50)
    # the same planes, called luma, chroma and black by Adobe's marker
    inks = bytearray((OUT / "jpeg_cmyk.jpg").read_bytes())
    inks[inks.index(b"Adobe") + 11] = 2
    (OUT / "jpeg_ycck.jpg").write_bytes(inks)
    for name in [*kinds, "grey", "cmyk", "ycck"]:
        save(Image.open(OUT / f"jpeg_{name}.jpg").convert("RGB"), f"jpeg_{name}")

    small = pic.crop((0, 0, 24, 20))
    alpha = Image.fromarray((np.arange(480) % 256).astype(np.uint8).reshape(20, 24), "L")
    rgba = small.copy()
    rgba.putalpha(alpha)
    grey = small.convert("L")
    grey_alpha = grey.convert("LA")
    grey_alpha.putalpha(alpha)
    forms = {"rgba": rgba, "grey": grey, "grey_alpha": grey_alpha,
             "palette": small.quantize(16), "bilevel": grey.convert("1")}
    for name, im in forms.items():
        save(im, f"png_{name}")
        save(im.convert("RGB"), f"png_{name}_rgb")
    # values below and above 255, which are clipped
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16) * 3))
    save(deep, "png_grey16")
    save(Image.open(OUT / "png_grey16.png").convert("RGB"), "png_grey16_rgb")

    forms = {"lossy": (pic, dict(quality=70)), "lossless": (small, dict(lossless=True)),
             "alpha": (rgba, dict(lossless=True, exact=True))}
    for name, (im, options) in forms.items():
        im.save(OUT / f"webp_{name}.webp", **options)
        save(Image.open(OUT / f"webp_{name}.webp").convert("RGB"), f"webp_{name}")
    grey.save(OUT / "webp_moving.webp", save_all=True, append_images=[small], lossless=True)


if __name__ == "__main__":
    main()
