#!/bin/sh
# Regenerates the golden files beside this script. The assets folder (models/, data/) is the first
# argument, or $DFQ_TEST_ASSETS, or `shared` beside the source tree; without it real_vit.safetensors
# and real_resnet20.safetensors are left as they are. PYTHON names an interpreter with torch and numpy;
# without Pillow (python3-pil) real_vit.safetensors and io/ are left as they are.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
assets=${1:-${DFQ_TEST_ASSETS:-$here/../../../shared}}
python=${PYTHON:-python3}
export ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1

weights=$assets/models/vit_tiny_patch16_224.safetensors
images=$assets/data/imagenet_val_650
pillow=yes
"$python" -c 'import PIL' 2> /dev/null || pillow=no
if [ $pillow = no ]; then
    echo "make.sh: $python has no Pillow (python3-pil): real_vit.safetensors, io/ not rebuilt" >&2
    "$python" "$here/make_vit.py"
elif [ -f "$weights" ] && [ -d "$images" ]; then
    "$python" "$here/make_vit.py" "$weights" "$images"
else
    echo "make.sh: no $weights or no $images: real_vit.safetensors not rebuilt" >&2
    "$python" "$here/make_vit.py"
fi
weights=$assets/models/resnet20_cifar10.safetensors
images=$assets/data/cifar10/test_1000.bin
if [ -f "$weights" ] && [ -f "$images" ]; then
    "$python" "$here/make_cnn.py" "$weights" "$images"
else
    echo "make.sh: no $weights or no $images: real_resnet20.safetensors not rebuilt" >&2
    "$python" "$here/make_cnn.py"
fi
for topic in conv images image_ops inverted inter_head head_ssim fake_quant tune_step synth_steps psaq_steps \
    augment inundation positions rounding generator generator_step ait_step diagnose super_vit \
    super_mbconv; do
    "$python" "$here/make_$topic.py"
done
if "$python" -c 'import transformers' 2> /dev/null; then
    "$python" "$here/make_naming.py"
else
    echo "make.sh: $python has no transformers: naming_*.safetensors not rebuilt" >&2
fi
if "$python" -c 'import timm, torchvision, transformers' 2> /dev/null; then
    "$python" "$here/make_swin.py"
    "$python" "$here/make_vit_forms.py"
else
    echo "make.sh: $python lacks timm, torchvision or transformers: swin_*, vit_forms.safetensors not rebuilt" >&2
fi
if [ $pillow = yes ]; then
    "$python" "$here/make_io.py"
fi
