"""Golden data of the tuning augmentation: torchvision's definitions, written out in plain torch."""
import torch
import torch.nn.functional as F

import golden

SEED = 77
SIDE = 40
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)

# crop (top, left, height, width), mirror, jitter, order, factors, gray, sigma
DRAWS = [
    ((0, 0, 40, 40), 1, 0, (0, 1, 2, 3), (1.0, 1.0, 1.0, 0.0), 0, 0.0),
    ((3, 11, 17, 22), 0, 0, (0, 1, 2, 3), (1.0, 1.0, 1.0, 0.0), 0, 1.7),
    ((20, 0, 9, 13), 1, 1, (3, 1, 0, 2), (1.6, 0.3, 1.7, 0.15), 0, 0.4),
    ((5, 5, 30, 35), 0, 1, (2, 0, 3, 1), (0.4, 1.5, 0.25, -0.2), 1, 0.9),
    ((0, 2, 40, 31), 1, 1, (1, 3, 2, 0), (1.2, 0.7, 1.1, -0.07), 0, 2.0),
]


def gray(x):
    """[...,3,Y,X] -> [...,1,Y,X]"""
    return (0.2989 * x[..., 0, :, :] + 0.587 * x[..., 1, :, :]
            + 0.114 * x[..., 2, :, :]).unsqueeze(-3)


def blend(x, other, factor):
    return (factor * x + (1 - factor) * other).clamp(0, 1)


def turn_hue(x, turn):
    r, g, b = x.unbind(-3)
    top, low = x.amax(-3), x.amin(-3)
    flat, span = top == low, top - low
    s = span / torch.where(flat, torch.ones_like(top), top)
    div = torch.where(flat, torch.ones_like(top), span)
    rc, gc, bc = (top - r) / div, (top - g) / div, (top - b) / div
    h = torch.where(top == r, bc - gc, torch.where(top == g, 2 + rc - bc, 4 + gc - rc))
    h = ((h / 6 + 1) % 1 + turn) % 1
    i = (h * 6).floor()
    f = h * 6 - i
    p = (top * (1 - s)).clamp(0, 1)
    q = (top * (1 - s * f)).clamp(0, 1)
    t = (top * (1 - s * (1 - f))).clamp(0, 1)
    rows = torch.stack((torch.stack((top, q, p, p, t, top), -3),
                        torch.stack((t, top, top, q, p, p), -3),
                        torch.stack((p, p, t, top, top, q), -3)), -4)
    index = (i.long() % 6)[..., None, None, :, :].expand(*x.shape[:-2], 1, *x.shape[-2:])
    return rows.gather(-3, index).squeeze(-3)


def blur(x, sigma):
    size = int(0.1 * SIDE) + (int(0.1 * SIDE) % 2 == 0)
    at = torch.linspace(-(size - 1) / 2, (size - 1) / 2, size, dtype=x.dtype)
    line = torch.exp(-0.5 * (at / sigma) ** 2)
    line = line / line.sum()
    kernel = (line[:, None] * line[None, :]).expand(3, 1, size, size)
    return F.conv2d(F.pad(x, [size // 2] * 4, mode="reflect"), kernel, groups=3)


def augment(x, draw):
    (top, left, height, width), mirror, jitter, order, factors, is_gray, sigma = draw
    mean = torch.tensor(MEAN, dtype=x.dtype)[:, None, None]
    std = torch.tensor(STD, dtype=x.dtype)[:, None, None]
    x = F.interpolate(x[..., top:top + height, left:left + width], size=(SIDE, SIDE),
                      mode="bilinear", align_corners=False)
    if mirror:
        x = x.flip(-1)
    if jitter:
        x = x * std + mean
        for k in order:
            if k == BRIGHTNESS:
                x = blend(x, torch.zeros_like(x), factors[k])
            elif k == CONTRAST:
                x = blend(x, gray(x).mean((-3, -2, -1), keepdim=True), factors[k])
            elif k == SATURATION:
                x = blend(x, gray(x), factors[k])
            else:
                x = turn_hue(x, factors[k])
        x = (x - mean) / std
    if is_gray:
        x = gray(x).expand(-1, 3, -1, -1)
    return blur(x, sigma) if sigma else x


def main():
    g = golden.generator(SEED)
    pixels = 0.02 + 0.96 * torch.rand((2, 3, SIDE, SIDE), generator=g)
    pixels[1] = F.avg_pool2d(pixels[1:], 5, 1, 2, count_include_pad=False)[0]  # a smooth one
    x = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    out = {"x": x, "mean": torch.tensor(MEAN), "std": torch.tensor(STD),
           "crop": torch.tensor([d[0] for d in DRAWS], dtype=torch.int32),
           "flags": torch.tensor([(d[1], d[2], d[5]) for d in DRAWS], dtype=torch.int32),
           "order": torch.tensor([d[3] for d in DRAWS], dtype=torch.int32),
           "factors": torch.tensor([d[4] for d in DRAWS]),
           "sigma": torch.tensor([d[6] for d in DRAWS])}
    worst = 0.0
    for i, draw in enumerate(DRAWS):
        out[f"y{i}"] = augment(x.double(), draw)
        worst = max(worst, float((augment(x, draw) - out[f"y{i}"]).abs().max()))
    print(f"augment, float32 to float64: {worst:.1e}")
    golden.write("augment.safetensors", out, seed=SEED)


if __name__ == "__main__":
    main()
