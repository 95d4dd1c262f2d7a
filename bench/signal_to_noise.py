#!/usr/bin/env python3
"""signal_to_noise.py DATA [IMAGES=64] [SEEDS=0,1,2] [NETWORK...]: how much of the logits quantizing keeps, of
networks without trained weights at hand.

Each NETWORK of timm (default: Swin-T and DeiT-Tiny) gets random weights of each seed and is quantized
to W4A4 with scales of rows and on drawn images alone, as dfq_graph_quantize() does by default. One
line of JSON a network and seed, of the logits on the pictures of DATA: 10 log10(sum of z^2 / sum of
(y - z)^2) of the float network's z and the quantized one's y, and the same with the mean over
pictures taken off both, since random weights tell pictures apart but little. Needs torch, timm and
safetensors; DFQ_LIBRARY names the shared library."""
import json
import os
import sys
import tempfile

import numpy
import safetensors.torch
import timm
import torch

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, '..', 'scripts')]
import engines  # noqa: E402
import peer_networks  # noqa: E402

BITS = 4, 4
NETWORKS = ['swin_tiny_patch4_window7_224', 'deit_tiny_patch16_224']


def random_network(name, seed, path):
    torch.manual_seed(seed)
    state = timm.create_model(name).state_dict()
    safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, path,
                                {'architecture': name})
    return path


def decibels(signal, noise):
    return round(10 * float(numpy.log10((signal ** 2).sum() / (noise ** 2).sum())), 1)


def measure(dfq, name, seed, data, images, folder):
    path = random_network(name, seed, os.path.join(folder, 'net.safetensors'))
    net = engines.Network(dfq, path)
    low = engines.Network(dfq, peer_networks.quantized(dfq, net, os.path.join(folder, 'low'), BITS, None,
                                                       rounding=peer_networks.ROUNDING_AUTO))
    z, y = [], []
    for pixels, logits, _ in net.batches(data, images, 8):
        z.append(logits)
        y.append(low.logits(pixels))
    z, y = numpy.concatenate(z).astype(float), numpy.concatenate(y).astype(float)
    return {'network': name, 'seed': seed, 'bits': 'w4a4', 'images': len(z), 'dB': decibels(z, y - z),
            'dB_between_pictures': decibels(z - z.mean(0), (y - y.mean(0)) - (z - z.mean(0)))}


def main():
    data, images, seeds, *names = sys.argv[1:] + ['64', '0,1,2'][len(sys.argv) - 2:]
    dfq = engines.Library()
    for name in names or NETWORKS:
        for seed in seeds.split(','):
            with tempfile.TemporaryDirectory() as folder:
                print(json.dumps(measure(dfq, name, int(seed), data, int(images), folder)), flush=True)


if __name__ == '__main__':
    main()
