"""Golden data of two tuning steps: the tiny network teaches its own W4A4 student."""
import torch

import golden
import quant
import vit
from losses import head_ssim, kd_kl

SEED = 1238  # chosen so that no value comes near a rounding tie or a border: see `main`
BITS, GAMMA, RATE, STEPS = 4, 10.0, 1e-3, 2


def batch(seed):
    g = golden.generator(seed)
    return torch.randn((golden.TINY_BATCH, 3, golden.TINY.image, golden.TINY.image), generator=g)


def tune(x, dtype):
    """Two SGD steps from the teacher's weights; one dict per step."""
    teacher = golden.cast(golden.tiny_weights(), dtype)
    student = golden.cast(teacher, dtype, True)
    quantizer = quant.Student(BITS, BITS)
    x, steps, optimiser = x.to(dtype), [], None
    names = vit.act_names(golden.TINY)
    with torch.no_grad():
        t = {}
        zt = vit.forward(teacher, x, golden.TINY, taps=t)
    for _ in range(STEPS):
        s = {}
        zs = vit.forward(student, x, golden.TINY, quantizer, s)
        if optimiser is None:  # the first forward pass initialised scale and zero_point
            assert list(quantizer.scale) == names
            scale, zero_point = quantizer.scale, quantizer.zero_point
            init = {"quant.scale": torch.cat([scale[n].detach() for n in names]),
                    "quant.zero_point": torch.cat([zero_point[n].detach() for n in names]),
                    "quant.range": torch.tensor([quantizer.grid[n][:2] for n in names]),
                    "quant.g": torch.tensor([quantizer.grid[n][2] for n in names])}
            optimiser = torch.optim.SGD([*student.values(), *scale.values(), *zero_point.values()],
                                        lr=RATE, momentum=0.9, nesterov=True)
        layers = torch.stack([head_ssim(a, b) for a, b in zip(t["av"], s["av"])])
        kl, had = kd_kl(zt, zs), layers.mean()
        optimiser.zero_grad()
        (kl + GAMMA * had).backward()
        state = {"zs": zs, "had_layers": layers, "loss": torch.stack((kl + GAMMA * had, kl, had)),
                 "dscale": torch.cat([scale[n].grad for n in names]),
                 "dzero_point": torch.cat([zero_point[n].grad for n in names]),
                 **{"grad." + k: v.grad.clone() for k, v in student.items()}}
        optimiser.step()
        state.update({"scale": torch.cat([scale[n].detach() for n in names]),
                      "zero_point": torch.cat([zero_point[n].detach() for n in names]),
                      **{"param." + k: v.detach().clone() for k, v in student.items()}})
        steps.append(state)
    return {**init, "zt": zt}, steps, quantizer


def main():
    x = batch(SEED)
    init, steps, quantizer = tune(x, torch.float64)
    steps32 = tune(x, torch.float32)[1]
    print("nearest rounding tie: activations %.1e, weights %.1e; nearest border: %.1e codes" % (
        quantizer.ties, quantizer.weight_ties, quantizer.borders))
    # Otherwise a C engine whose sums differ in the last bits may round to another code.
    assert min(quantizer.ties, quantizer.borders) > 2e-5 and quantizer.weight_ties > 2e-6
    for i, (a, b) in enumerate(zip(steps32, steps), 1):
        worst = {"grad": 0.0, "param": 0.0}
        for k in b:
            kind = k.split(".")[0]
            worst[kind] = max(worst.get(kind, 0.0), golden.far(a[k], b[k]))
        print(f"step {i}, float32 to float64:", ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))

    meta = {"seed": SEED, "weights_seed": golden.TINY_SEED,
            "quantizers": ",".join(vit.act_names(golden.TINY))}
    grads = {k: v for k, v in steps[0].items() if k.startswith("grad.")}
    params = [{k: v for k, v in s.items() if k.startswith("param.")} for s in steps]
    for i, s in enumerate(steps, 1):
        init.update({f"step{i}.{k}": v for k, v in s.items()
                     if not k.startswith(("grad.", "param."))})
    golden.write("tune.safetensors", {"x": x, **init}, **meta)
    golden.write("tune_grad.safetensors", grads, **meta)
    for i, p in enumerate(params, 1):
        golden.write(f"tune_step{i}.safetensors", p, **meta)


if __name__ == "__main__":
    main()
