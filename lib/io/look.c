/* Recognises file formats by their first bytes. ONNX, Core ML and TensorFlow files have no
 * signature; they are recognised by their first fields. */
#include "io/look.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define PICTURE "give the model's .safetensors file"
#define WEIGHTS "load it in its framework and write the weights with safetensors' save_file"
#define TORCH   "load it with torch.load and write the weights with safetensors.torch.save_file"
#define ORIGINAL                                                                                   \
    "take the weights it was made from, out of the framework, with safetensors' save_file"
#define UNPACK "unpack it first"
#define WHOLE  "give the model's .safetensors file, which is beside it"

typedef struct mark {
    size_t at;
    const char *magic;
    size_t length;
    dfqi_look look;
} mark;

static const mark marks[] = {
    {0, "PK\3\4", 4, {"a zip archive, as torch.save writes it (.pt, .pth, .npz, .keras)", TORCH}},
    {0, "\x93NUMPY", 6, {"a NumPy array (.npy)", WEIGHTS}},
    {0, "\x89PNG\r\n\x1a\n", 8, {"a PNG picture", PICTURE}},
    {0, "\xFF\xD8\xFF", 3, {"a JPEG picture", PICTURE}},
    {0, "GIF8", 4, {"a GIF picture", PICTURE}},
    {8, "WEBP", 4, {"a WebP picture", PICTURE}},
    {0, "RIFF", 4, {"a RIFF file (sound or video)", PICTURE}},
    {0, "II*\0", 4, {"a TIFF picture", PICTURE}},
    {0, "MM\0*", 4, {"a TIFF picture", PICTURE}},
    {4, "ftypavif", 8, {"an AVIF picture", PICTURE}},
    {4, "ftyphei", 7, {"a HEIC picture", PICTURE}},
    {4, "ftyp", 4, {"a video (.mp4)", PICTURE}},
    {0, "BM", 2, {"a BMP picture", PICTURE}},
    {4, "TFL3", 4, {"a TensorFlow Lite model (.tflite)", ORIGINAL}},
    {0, "\x89HDF\r\n\x1a\n", 8, {"an HDF5 file (.h5, Keras)", WEIGHTS}},
    {0, "GGUF", 4, {"a GGUF model", ORIGINAL}},
    {0, "ggjt", 4, {"a GGML model", ORIGINAL}},
    {0, "tjgg", 4, {"a GGML model", ORIGINAL}},
    {0, "PAR1", 4, {"a Parquet table", PICTURE}},
    {0, "MATLAB 5", 8, {"a MATLAB file (.mat)", WEIGHTS}},
    {0, "\x1F\x8B", 2, {"gzip-compressed", UNPACK}},
    {0, "BZh", 3, {"bzip2-compressed", UNPACK}},
    {0,
     "\xFD"
     "7zXZ",
     5,
     {"xz-compressed", UNPACK}},
    {0, "\x28\xB5\x2F\xFD", 4, {"zstd-compressed", UNPACK}},
    {0, "7z\xBC\xAF", 4, {"a 7-Zip archive", UNPACK}},
    {0, "Rar!", 4, {"a RAR archive", UNPACK}},
    {257, "ustar", 5, {"a tar archive", UNPACK}},
    {0,
     "version https://git-lfs",
     23,
     {"a git-lfs pointer, not the file itself", "fetch the file: git lfs pull"}},
    {0, "%PDF", 4, {"a PDF document", PICTURE}},
    {0,
     "\x7F"
     "ELF",
     4,
     {"a program", PICTURE}},
};

/* First words of texts, compared without regard to case. */
static const mark words[] = {
    {0,
     "<!doctype",
     9,
     {"a web page", "download the file itself; the page is what a browser shows of it"}},
    {0,
     "<html",
     5,
     {"a web page", "download the file itself; the page is what a browser shows of it"}},
    {0, "<?xml", 5, {"an XML file, as OpenVINO describes networks (.xml)", ORIGINAL}},
    {0, "<net", 4, {"an XML file, as OpenVINO describes networks (.xml)", ORIGINAL}},
    {0, "<svg", 4, {"an SVG drawing", PICTURE}},
    {0, "{", 1, {"plain JSON", WHOLE}},
    {0, "[", 1, {"plain JSON", WHOLE}},
};

static bool is_letter(unsigned char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Protocol buffers begin with the number and the kind of their first field. */
static dfqi_look look_at_fields(const unsigned char *b, size_t size)
{
    static const dfqi_look none = {NULL, NULL}, onnx = {"an ONNX model (.onnx)", ORIGINAL},
                           coreml = {"a Core ML model (.mlmodel)", ORIGINAL},
                           saved = {"a TensorFlow SavedModel (.pb)", WEIGHTS};
    if (size < 8 || b[0] != 0x08 || b[1] < 1 || b[1] > 31) return none;
    if (b[2] == 0x12 && b[1] == 1) return saved;
    if (b[2] == 0x12 && b[4] == 0x0A) return coreml;
    /* the producer's name, or else the fields that follow: the graph, the operator set */
    if (b[2] == 0x12 && b[3] > 0 && b[3] < 64 && is_letter(b[4])) return onnx;
    return b[2] == 0x3A || b[2] == 0x42 ? onnx : none;
}

static dfqi_look look_at_text(const char *text, size_t size)
{
    static const dfqi_look none = {NULL, NULL};
    size_t n = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (n < size && strchr(" \t\r\n", text[n]) && text[n]) n++;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (size - n >= words[i].length &&
            strncasecmp(text + n, words[i].magic, words[i].length) == 0)
            return words[i].look;
    return none;
}

dfqi_look dfqi_file_look(const void *bytes, size_t size)
{
    static const dfqi_look pickle = {"a Python pickle (.pkl, old .pth)", TORCH};
    const unsigned char *b = bytes;
    dfqi_look look = {NULL, NULL};
    if (size == 0) return look;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (size >= marks[i].at + marks[i].length &&
            memcmp(b + marks[i].at, marks[i].magic, marks[i].length) == 0)
            return marks[i].look;
    if (size >= 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5) return pickle;
    look = look_at_fields(b, size);
    return look.kind ? look : look_at_text(bytes, size);
}
