"""Markdown tables of what peers_int8.py measured."""

PEERS = {'onnxruntime': 'ONNX Runtime', 'openvino': 'OpenVINO'}
EXACT = 'onnxruntime exact'  # that adds 8-bit products in 32 bits where the two above may saturate
# network, arithmetic, that of the peers, title, bars of batch 1 and 8 over the better peer
ROWS = [('vit', 'float', 'float', 'ViT-Tiny float', {1: 1.1, 8: 1.1}),
        ('vit', 'w8a8', 'int8', 'ViT-Tiny W8A8', {1: 1.3, 8: 1.5}),
        ('vit', 'w4a8', 'int8', 'ViT-Tiny W4A8', {1: 1.3, 8: 1.5}),
        ('vit', 'w4a4', 'int8', 'ViT-Tiny W4A4, groups of 64 channels', {1: 1.3, 8: 1.5}),
        ('vit', 'w4a4 rows', 'int8', 'ViT-Tiny W4A4, a scale for each token', {1: 1.3, 8: 1.5}),
        ('resnet20', 'w8a8', 'int8', 'ResNet-20 W8A8', {1: 1.0, 8: 1.0}),
        ('resnet50', 'w8a8', 'int8', 'ResNet-50 W8A8', {1: 1.0, 8: 1.0}),
        ('mobilenetv2', 'w8a8', 'int8', 'MobileNetV2 W8A8', {1: 1.0, 8: 1.0})]
OWN_FLOAT = 2.0  # over the library's float network, batch 8
FIRST_MS, RESIDENT = 50, 14e6  # bars of a first call, and of ViT-Tiny W4A4 with batch 1


def best(found, network, engine, kind, batch, threads):
    """Images a second of the engine's fastest file."""
    return max(v for (n, e, k, _, b, t), v in found.items()
               if (n, e, k, b, t) == (network, engine, kind, batch, threads))


def verdict(ratio, bar):
    return f'{ratio:.2f} / {bar} {"" if ratio >= bar else "missed"}'.strip()


def speed(found, threads):
    print('\n| network | batch | threads | libdfq | ' + ' | '.join(PEERS.values()) +
          ' | ratio to the better / bar | to own float / bar |')
    print('|---|---|---|---|' + '---|' * len(PEERS) + '---|---|')
    for network, kind, peer_kind, title, bars in ROWS:
        if not any(key[0] == network for key in found):
            continue
        for batch, bar in bars.items():
            for t in threads:
                own = best(found, network, 'libdfq', kind, batch, t)
                peers = [best(found, network, e, peer_kind, batch, t) for e in PEERS]
                to_float = ''
                if network == 'vit' and kind != 'float':
                    r = own / best(found, network, 'libdfq', 'float', batch, t)
                    to_float = verdict(r, OWN_FLOAT) if batch == 8 else f'{r:.2f}'
                print(f'| {title} | {batch} | {t} | {own:.1f} | ' +
                      ' | '.join(f'{p:.1f}' for p in peers) +
                      f' | {verdict(own / max(peers), bar)} | {to_float} |')


def exact(found, threads):
    """Against a peer whose sums do not saturate."""
    print('\n| 8 x 8 bits, sums that cannot saturate | batch | threads | libdfq | ONNX Runtime | ratio / bar |')
    print('|---|---|---|---|---|---|')
    for network, kind, peer_kind, title, bars in ROWS:
        if peer_kind != 'int8' or not any(key[:2] == (network, EXACT) for key in found):
            continue
        for batch, bar in bars.items():
            for t in threads:
                own = best(found, network, 'libdfq', kind, batch, t)
                peer = best(found, network, EXACT, peer_kind, batch, t)
                print(f'| {title} | {batch} | {t} | {own:.1f} | {peer:.1f} | {verdict(own / peer, bar)} |')


def exported(found, threads):
    """Files of `dfq export` with 8 bits and static scales against those of ONNX Runtime's own
    quantizer."""
    print('\n| 8 bits in ONNX Runtime | batch | threads | `dfq export` | its own quantizer | ratio |')
    print('|---|---|---|---|---|---|')
    for (network, engine, kind, which, batch, t), ours in found.items():
        if (engine, which) == ('onnxruntime', 'export.onnx'):
            theirs = found[network, engine, kind, 'ort.onnx', batch, t]
            print(f'| {network} | {batch} | {t} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |')


def latency(found, first, threads):
    """One image: what the README shows."""
    print('\n| one image | ' + ' | '.join(f'{t} thread{"s" * (t > 1)}' for t in threads) +
          ' | better peer, the same | load | first call | resident |')
    print('|---|' + '---|' * len(threads) + '---|---|---|---|')
    for network, kind, peer_kind, title, _ in ROWS:
        if (network, kind, threads[0]) not in first:
            continue
        own = [1e3 / best(found, network, 'libdfq', kind, 1, t) for t in threads]
        peer = [1e3 / max(best(found, network, e, peer_kind, 1, t) for e in PEERS) for t in threads]
        f = first[network, kind, threads[0]]
        print(f'| {title} | ' + ' | '.join(f'{ms:.2f} ms' for ms in own) + ' | ' +
              ', '.join(f'{ms:.2f}' for ms in peer) +
              f' ms | {f["load_ms"]:.0f} ms | {f["first_ms"]:.1f} ms | {f["resident"] / 1e6:.1f} MB |')


def show(found, peaks, first, threads):
    print('\nPeaks, ' + '; '.join(
        f'{t} thread{"s" * (t > 1)}: {peaks[t][0] / 1e9:.0f} GFLOPS, {peaks[t][1] / 1e9:.0f} GOPS'
        for t in threads) + '. Images a second:')
    speed(found, threads)
    if any(key[1] == EXACT for key in found):
        exact(found, threads)
    exported(found, threads)
    latency(found, first, threads)
    for t in threads:
        if ('vit', 'w4a4', t) in first:
            f = first['vit', 'w4a4', t]
            print(f'\nViT-Tiny W4A4, {t} thread{"s" * (t > 1)}: first call {f["first_ms"]} of at most '
                  f'{FIRST_MS} ms, resident {f["resident"] / 1e6:.1f} of at most {RESIDENT / 1e6:.0f} MB')
